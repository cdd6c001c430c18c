-- Put the first jobs that a key has blocked in one queue back into the line.
update longshore_job set blocked_by = null
where id in (
    select id from longshore_job indexed by longshore_job_blocked
    where blocked_by = ?1 and queue = ?2
    order by priority, scheduled_at, id
    limit ?3
);
