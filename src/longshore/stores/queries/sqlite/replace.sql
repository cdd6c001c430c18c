-- Give a job that does not run new arguments and a new time; it keeps its place among queues.
update longshore_job
set payload = ?2, state = ?3, scheduled_at = ?4, expires_at = ?5, identity = ?6, held_until = ?7,
    fair_key = ?8, rules = ?9, parked = null, parked_by = null, blocked_by = null
where id = ?1;
