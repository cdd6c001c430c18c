-- Store jobs, some of which have rules; ids that are there and unique keys that are held are left
-- alone, and noticed by the number of rows written, or with `strict` by an error, and nothing has
-- happened. A transaction elsewhere that has stored the same key is waited for.
with t as materialized (
    select coalesce(
        %(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
    ) as now
), new as (
    insert into longshore_job (
        id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind,
        payload, expires_at, timeout, tags, meta, identity, unique_key, held_until, fair_key, rules
    )
    select
        e.id, e.state, e.queue, e.priority, e.scheduled_at, e.max_attempts, e.created_at,
        e.keep_result, e.kind, e.payload, e.expires_at, e.timeout, e.tags, e.meta, e.identity,
        e.unique_key, t.now + e.ttl, e.fair_key, e.rules
    from t, unnest(
        %(c0)s::uuid[], %(c1)s::text[], %(c2)s::text[], %(c3)s::smallint[], %(c4)s::bigint[],
        %(c5)s::integer[], %(c6)s::bigint[], %(c7)s::bigint[], %(c8)s::text[], %(c9)s::text[],
        %(c10)s::bigint[], %(c11)s::bigint[], %(c12)s::text[], %(c13)s::text[], %(c14)s::text[],
        %(c15)s::text[], %(c16)s::bigint[], %(c17)s::text[], %(c18)s::text[]
    ) as e (
        id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind,
        payload, expires_at, timeout, tags, meta, identity, unique_key, ttl, fair_key, rules
    )
    on conflict do nothing
    returning 1
)
select
    case when %(strict)s and count(*) < %(count)s
        then concat('longshore: ', count(*), ' of ', %(count)s::integer, ' ids are new')::integer
        else count(*) end,
    case
        when not %(notify)s then null
        -- Who waits has this lock; who can have it for a moment need not tell.
        when case when %(ear)s::bigint is null then false
            when pg_try_advisory_lock(%(ear)s::bigint) then pg_advisory_unlock(%(ear)s::bigint)
            else false end then null
        else pg_notify(%(channel)s, '')::text
    end,
    -- What holds the key of a single job, and does not lose it to the next insert.
    case when cardinality(%(c0)s::uuid[]) = 1 then (
        select j.id::text from longshore_job as j
        where j.unique_key = (%(c15)s::text[])[1] and j.id <> (%(c0)s::uuid[])[1]
          and coalesce(
              least(j.held_until, case when j.attempted_at is null then j.expires_at end)
                  > (select now from t), true
          )
    ) end
from new;
