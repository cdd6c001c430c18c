-- Begin a run of these jobs under one process's lease.
update longshore_job
set state = 'running', run = run + 1, claimed_at = %(now)s,
    attempted_at = if(attempted_at = 0, %(now)s, attempted_at), parked = null, parked_by = null,
    blocked_by = null,
    line = concat('~', %(process_id)s), place = %(claim_id)s
where id in %(ids)s;
