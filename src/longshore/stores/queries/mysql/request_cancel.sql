-- Ask running jobs to end.
update longshore_job set cancel_requested = 1, reason = coalesce(%(reason)s, reason)
where id in %(ids)s;
