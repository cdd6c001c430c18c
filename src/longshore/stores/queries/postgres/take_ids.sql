-- Begin runs of the first of these jobs that nobody else takes, under one process's lease; unless
-- they are `chosen` by a claim that walks, jobs with limits or turns are left out.
with picked as materialized (
    select ctid as place from longshore_job
    where id = any(%(ids)s::uuid[])
      and state = 'available' and parked is null and blocked_by is null
      and (
          %(chosen)s
          or fair_key is null and (rules is null or strpos(rules, '"limits":') = 0)
      )
    order by priority, scheduled_at, id
    limit %(wanted)s
    for update skip locked
), taken as (
    update longshore_job as j
    set state = 'running', run = j.run + 1, claimed_by = %(process_id)s,
        claim_id = %(claim_id)s, claimed_at = %(now)s,
        attempted_at = coalesce(j.attempted_at, %(now)s), parked = null, parked_by = null,
        unique_key = case when j.rules is null or strpos(j.rules, '"until_started":') = 0
            then j.unique_key end
    where j.ctid = any(array(select place from picked))
    returning j.id::text, j.run, j.kind, j.queue, j.payload, j.priority, j.failures, j.interruptions,
        j.max_attempts, j.scheduled_at, j.created_at, j.claimed_at, j.timeout, j.keep_result,
        j.budgets, j.tags, j.meta, j.rules
)
select * from taken order by priority, scheduled_at, id;
