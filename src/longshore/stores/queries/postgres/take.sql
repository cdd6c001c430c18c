-- Begin runs of these jobs under one process's lease.
update longshore_job
set state = 'running', run = run + 1, claimed_by = %(process_id)s, claim_id = %(claim_id)s,
    claimed_at = %(now)s, attempted_at = coalesce(attempted_at, %(now)s), parked = null,
    parked_by = null
where id = any(%(ids)s::uuid[]);
