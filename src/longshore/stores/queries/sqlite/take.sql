-- Begin a run of these jobs under one process's lease. What fails undoes the whole claim, so that no
-- journal has to be kept of this statement alone: hence `or fail`.
update or fail longshore_job
set state = 'running', run = run + 1, claimed_by = :process_id, claim_id = :claim_id,
    claimed_at = :now, attempted_at = coalesce(attempted_at, :now), parked = null, parked_by = null
where id in (select value from json_each(:ids));
