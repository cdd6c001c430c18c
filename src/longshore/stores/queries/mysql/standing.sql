-- What a person's order has to know of live jobs.
select id, state, queue, kind, keep_result, runs, rules,
       state = 'available' and line <> '#parked' and blocked_by is null
from longshore_job
where id in %(ids)s
order by id
for update;
