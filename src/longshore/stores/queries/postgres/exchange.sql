-- Move jobs that just succeeded to those that have ended, and claim jobs of a line whose jobs are
-- all in one queue, in one statement. Where something else has to be done first it does nothing.
-- When not all of the leases hold it is an error, and nothing has happened.
with recursive t as materialized (
    select coalesce(
        %(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
    ) as now
), days as materialized (
    select
        case when to_regclass('longshore_ended_d' || %(today)s::integer) is not null
            then %(today)s::integer end as today,
        case when to_regclass('longshore_ended_d' || (%(today)s::integer - 1)) is not null
            then %(today)s::integer - 1 end as yesterday
), found (name, below) as (
    -- Queue by queue between those of which it is known where they go on.
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > g.above and queue < g.below
        order by queue limit 1
    ), g.below
    from unnest(%(above)s::text[], %(below)s::text[]) as g (above, below)
    where %(any)s
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > found.name and queue < found.below
        order by queue limit 1
    ), found.below
    from found where found.name is not null
), there (name) as (
    select name from found
    where name = any(%(names)s::text[])
       or exists (select from unnest(%(starts)s::text[]) as s (text) where starts_with(name, text))
    union all
    select n.name from unnest(%(names)s::text[]) as n (name)
    where not %(any)s and exists (
        select from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue = n.name
    )
    union all
    select distinct g.queue
    from unnest(
        %(at_queue)s::text[], %(lowest)s::smallint[], %(highest)s::smallint[],
        %(at)s::bigint[], %(at_id)s::uuid[]
    ) as g (queue, lowest, highest, at, id)
    where (
        select 1 from longshore_job as ahead
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and ahead.queue = g.queue and priority <= g.highest
          and (priority, scheduled_at, ahead.id) >= (g.lowest, g.at, g.id)
        order by priority, scheduled_at, ahead.id limit 1
    ) is not null
), served as materialized (
    select name from there
    where name <> all(%(but_names)s::text[])
      and not exists (
          select from unnest(%(but_starts)s::text[]) as s (text) where starts_with(name, text)
      )
      and not exists (
          select from longshore_queue as q
          where q.name = there.name
            and (q.paused_until is null or q.paused_until > (select now from t))
      )
    limit 2
), process as materialized (
    -- Held until the commit: nobody takes the lease away while jobs are claimed under it. A beat
    -- renews it meanwhile, which is no change of the key: else it would wait for a claim of each of
    -- its processes, and the claims of all others for it.
    select 1 from longshore_process
    where id = %(process_id)s
      and expires_at > coalesce(
          %(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
      )
    for key share
), gate as materialized (
    select d.due_at, s.name,
        s.queues <= 1
        -- Where there is nothing to claim or report nothing is held: so nothing is written, and
        -- nothing waits for the disk.
        and case when %(count)s > 0 or s.queues > 0 then (select count(*) from process) = 1
            else exists (
                select from longshore_process where id = %(process_id)s and expires_at > t.now
            ) end
        and (d.due_at is null or d.due_at > t.now)
        and not exists (
            select from longshore_job
            where expires_at is not null and attempted_at is null
              and expires_at <= (select now from t)
        )
        and not exists (
            select from longshore_job
            where state = 'running' and claimed_by = %(process_id)s and claim_id = %(claim_id)s
        )
        and not exists (
            select from longshore_kind where paused_until is null or paused_until > t.now
        )
        and (s.name is null or (
            select queue from longshore_job
            where state = 'available' and parked is null and blocked_by is null
              and strpos(rules, '"limits":') > 0 and queue >= s.name
            order by queue limit 1
        ) is distinct from s.name)
        -- Of queues that are not served only those that stand between two that are.
        and (
            select queue from longshore_job
            where state = 'available' and parked is null and blocked_by is null
              and fair_key is not null and queue >= %(low)s and queue <= %(high)s
            order by queue limit 1
        ) is null as open
    from t,
        (select min(name) as name, count(*) as queues from served) as s,
        (
            select least((
                select scheduled_at from longshore_job
                where state in ('scheduled', 'retrying')
                order by scheduled_at limit 1
            ), (
                select o.opens_at from longshore_opening as o
                where (
                    select j.blocked_by from longshore_job as j
                    where j.blocked_by = o.limit_key limit 1
                ) is not null
                order by o.opens_at limit 1
            )) as due_at
        ) as d
), ending as materialized (
    -- By itself, so that jobs are looked up by their ids and by nothing else.
    select id, run, result, 'running'::text as state, %(process_id)s::text as process_id
    from unnest(%(ids)s::uuid[], %(runs)s::integer[], %(results)s::text[])
        as e (id, run, result)
), gone as (
    delete from longshore_job as j
    using ending as e
    -- Where the table seems to be empty, as it was when it was looked at last, an equality of ids
    -- would be worth reading the index of all ids in its order.
    where j.id = any(array[e.id]) and j.run = e.run and j.claimed_by = e.process_id and j.state = e.state
      -- Of one that belongs to a batch or workflow more follows than this.
      and (j.rules is null or strpos(j.rules, '"bundles":') = 0)
      -- One that counts for a limit has a slot to give back, which takes more than this.
      and (
          j.rules is null
          or j.slot_key is null and (
              select s.job_id from longshore_slot as s where s.job_id = j.id limit 1
          ) is null
      )
      and (select open from gate)
    returning j.*, e.result,
        case when %(kept)s::bigint is null or j.keep_result is null then null
            else greatest(%(kept)s::bigint, j.keep_result) end as kept_for
), kept as (
    insert into longshore_ended (
        id, day, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at,
        attempted_at, failures, interruptions, max_attempts, priority, scheduled_at, created_at,
        expires_at, timeout, keep_result, tags, result, meta, progress, runs, identity, rules,
        payload
    )
    select
        g.id,
        case when g.kept_for > %(near)s::bigint or g.kept_for is null
                or g.id < %(from_yesterday)s::uuid or g.id >= %(from_tomorrow)s::uuid then null
            when g.id < %(from_today)s::uuid then d.yesterday else d.today end,
        'succeeded', g.queue, g.kind, t.now + g.kept_for, t.now, g.run, g.claimed_by, g.claimed_at,
        g.attempted_at, g.failures, g.interruptions, g.max_attempts, g.priority, g.scheduled_at,
        g.created_at, g.expires_at, g.timeout, g.keep_result, g.tags, g.result, g.meta, g.progress,
        g.runs, g.identity, g.rules, g.payload
    from gone as g, t, days as d
    where g.kept_for is distinct from 0
    returning day, queue, kind
), counted as (
    insert into longshore_count (jobs, day, queue, kind, state)
    select count(*), day, queue, kind, 'succeeded' from kept group by day, queue, kind
), picked as materialized (
    select place from (
        select ctid as place from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue = (select name from gate where open and name <> all(%(at_queue)s::text[]))
          and (rules is null or strpos(rules, '"limits":') = 0)
        order by priority, scheduled_at, id
        limit %(wanted)s
        for update skip locked
    ) as j
    union all
    -- Part by part in their order, so that nothing is locked that is not taken.
    select place from (
        select j.place
        from gate join unnest(
            %(at_queue)s::text[], %(lowest)s::smallint[], %(highest)s::smallint[],
            %(at)s::bigint[], %(at_id)s::uuid[]
        ) as g (queue, lowest, highest, at, id) on gate.open and g.queue = gate.name
        cross join lateral (
            select ctid as place from longshore_job as ahead
            where state = 'available' and parked is null and blocked_by is null
              and fair_key is null and queue = g.queue and priority <= g.highest
              and (priority, scheduled_at, ahead.id) >= (g.lowest, g.at, g.id)
              and (rules is null or strpos(rules, '"limits":') = 0)
            order by priority, scheduled_at, id
            limit %(wanted)s
            for update skip locked
        ) as j
        limit %(wanted)s
    ) as j
), taken as (
    update longshore_job as j
    set state = 'running', run = j.run + 1, claimed_by = %(process_id)s,
        claim_id = %(claim_id)s, claimed_at = t.now,
        attempted_at = coalesce(j.attempted_at, t.now),
        unique_key = case when j.rules is null or strpos(j.rules, '"until_started":') = 0
            then j.unique_key end
    from t where j.ctid = any(array(select place from picked))
    returning j.id::text, j.run, j.kind, j.queue, j.payload, j.priority, j.failures, j.interruptions,
        j.max_attempts, j.scheduled_at, j.created_at, j.claimed_at, j.timeout, j.keep_result,
        j.budgets, j.tags, j.meta, j.rules
), held as (
    select
        case when gate.open and gone.jobs < %(count)s
            then concat(
                'longshore: ', gone.jobs, ' of ', %(count)s::integer, ' leases hold'
            )::integer
            else gone.jobs end as jobs,
        case
            when not %(notify)s then null
            -- Who waits has this lock; who can have it for a moment need not tell.
            when case when %(ear)s::bigint is null then false
                when pg_try_advisory_lock(%(ear)s::bigint) then pg_advisory_unlock(%(ear)s::bigint)
                else false end then null
            else pg_notify(%(channel)s, 'end')::text
        end as told
    from gate, (select count(*) as jobs from gone) as gone
), dead (rows) as materialized (
    -- If all of it but the commit took long: how much there is that cannot be cleared away.
    select case
            when clock_timestamp() - statement_timestamp() > %(slow)s::bigint * interval '1 us'
            then pg_stat_get_dead_tuples('longshore_job'::regclass)
        end
    from (select count(*) from taken) as c
)
select gate.open, held.jobs,
    case when gate.due_at is not null then greatest(0, gate.due_at - t.now) end,
    dead.rows, t.now, taken.*
from t cross join gate cross join held cross join dead left join taken on true
order by taken.priority, taken.scheduled_at, taken.id;
