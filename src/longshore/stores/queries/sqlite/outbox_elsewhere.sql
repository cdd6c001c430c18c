-- How many jobs are on their way to other stores than this one.
select store, count(*) from longshore_outbox
where parked is null and store <> :store group by store order by store;
