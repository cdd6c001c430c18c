-- Move jobs that this process runs, and that just succeeded, to those that have ended, if they are
-- kept at all. The answer says how many there were and, when some were not, which; with `strict`
-- it is an error then, and nothing has happened. That somebody wants one to end comes too late.
-- Jobs that count for limits are left out unless they are `slotted`: their slots go with them, and
-- the answer names the keys, which have room now.
with t as materialized (
    select coalesce(
        %(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
    ) as now
), days as materialized (
    select
        case when to_regclass('longshore_ended_d' || %(today)s::integer) is not null
            then %(today)s::integer end as today,
        case when to_regclass('longshore_ended_d' || (%(today)s::integer - 1)) is not null
            then %(today)s::integer - 1 end as yesterday
), ending as materialized (
    -- By itself, so that jobs are looked up by their ids and by nothing else. Lists are subqueries,
    -- so that plans do not differ by their length and the server keeps the first that it has made.
    select id, run, result, 'running'::text as state, %(process_id)s::text as process_id
    from unnest(
        (select %(ids)s::uuid[]), (select %(runs)s::integer[]), (select %(results)s::text[])
    ) as e (id, run, result)
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
          %(slotted)s or j.rules is null
          or j.slot_key is null and (
              select s.job_id from longshore_slot as s where s.job_id = j.id limit 1
          ) is null
      )
    returning j.*, e.result,
        case when %(kept)s::bigint is null or j.keep_result is null then null
            else greatest(%(kept)s::bigint, j.keep_result) end as kept_for
), vacant as (
    delete from longshore_slot as s using gone as g
    where %(slotted)s and g.rules is not null and g.slot_key is null and s.job_id = g.id
    returning s.limit_key
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
)
select
    case when %(strict)s and count(*) < %(count)s
        then concat('longshore: ', count(*), ' of ', %(count)s::integer, ' leases hold')::integer
        else count(*) end,
    case when count(*) < %(count)s then array_agg(id::text) end,
    (
        select array_agg(key) from (
            select limit_key from vacant
            union all
            select slot_key from gone where slot_key is not null
        ) as v (key)
    ),
    case
        when not %(notify)s then null
        -- Who waits has this lock; who can have it for a moment need not tell.
        when case when %(ear)s::bigint is null then false
            when pg_try_advisory_lock(%(ear)s::bigint) then pg_advisory_unlock(%(ear)s::bigint)
            else false end then null
        else pg_notify(%(channel)s, 'end')::text
    end
from gone;
