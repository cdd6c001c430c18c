-- Begin a run of the jobs from one id to another under one process's lease; `or fail` as in `take`.
update or fail longshore_job
set state = 'running', run = run + 1, claimed_by = :process_id, claim_id = :claim_id,
    claimed_at = :now, attempted_at = coalesce(attempted_at, :now), parked = null, parked_by = null
where id >= :first and id <= :last;
