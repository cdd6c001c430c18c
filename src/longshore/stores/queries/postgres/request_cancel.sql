-- Ask running jobs to end.
update longshore_job set cancel_requested = true, reason = coalesce(%(reason)s, reason)
where id = any(%(ids)s::uuid[]);
