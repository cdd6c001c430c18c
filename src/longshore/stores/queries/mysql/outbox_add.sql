-- Note jobs that are on their way to another store, in their order.
insert into longshore_outbox (store, job, made_at)
select %(store)s, j.job, %(now)s
from json_table(%(jobs)s, '$[*]' columns (
    place for ordinality,
    job longtext character set utf8mb4 path '$'
)) as j
order by j.place;
