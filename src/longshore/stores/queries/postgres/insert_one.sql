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
select count(*), case when %(notify)s then pg_notify(%(channel)s, '')::text end from new;
