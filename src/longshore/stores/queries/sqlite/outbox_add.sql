-- Note jobs that are on their way to another store, in their order, which is that of the list.
insert into longshore_outbox (store, job, made_at)
select :store, cast(e.value as blob), :now from json_each(:jobs) as e;
