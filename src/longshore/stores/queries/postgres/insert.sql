-- Store jobs; ids that are there are left alone, and noticed by the number of rows written, or with
-- `strict` by an error, and nothing has happened.
with new as (
    insert into longshore_job (
        id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind,
        payload, expires_at, timeout, tags, meta
    )
    select * from unnest(
        %(c0)s::uuid[], %(c1)s::text[], %(c2)s::text[], %(c3)s::smallint[], %(c4)s::bigint[],
        %(c5)s::integer[], %(c6)s::bigint[], %(c7)s::bigint[], %(c8)s::text[], %(c9)s::text[],
        %(c10)s::bigint[], %(c11)s::bigint[], %(c12)s::text[], %(c13)s::text[]
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
    end
from new;
