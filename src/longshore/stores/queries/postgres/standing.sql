-- What a person's order has to know of live jobs.
select j.id::text, j.state, j.queue, j.kind, j.keep_result, j.runs, j.rules,
       case when j.state = 'available' and j.parked is null and j.blocked_by is null then 1 else 0 end
from longshore_job as j
where j.id = any(%(ids)s::uuid[])
order by j.id
for update;
