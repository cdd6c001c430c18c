-- Those of these jobs that were never started and may not start any more.
select id, state, queue, kind, keep_result, runs, rules,
       state = 'available' and line <> '#parked' and blocked_by is null
from longshore_job
where id in %(ids)s and attempted_at = 0 and expires_at <= %(now)s
order by id
for update;
