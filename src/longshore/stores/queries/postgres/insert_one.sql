-- Store one job; an id that is there is left alone.
with new as (
    insert into longshore_job (
        id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind,
        payload, expires_at, timeout, tags, meta
    )
    values (
        %(c0)s::uuid, %(c1)s, %(c2)s, %(c3)s::smallint, %(c4)s::bigint, %(c5)s::integer,
        %(c6)s::bigint, %(c7)s::bigint, %(c8)s, %(c9)s, %(c10)s::bigint, %(c11)s::bigint, %(c12)s,
        %(c13)s
    )
    on conflict do nothing
    returning 1
)
select
    count(*),
    case
        when not %(notify)s then null
        -- Who waits has this lock; who can have it for a moment need not tell.
        when case when %(ear)s::bigint is null then false
            when pg_try_advisory_lock(%(ear)s::bigint) then pg_advisory_unlock(%(ear)s::bigint)
            else false end then null
        else pg_notify(%(channel)s, '')::text
    end
from new;
