-- Tell those who wait for ends, apart from the commit that ended something. A commit that tells lets
-- no other commit that tells go on before it is on disk; this one has nothing to write there.
select
    set_config('synchronous_commit', 'off', true),
    case
        when case when %(ear)s::bigint is null then false
            when pg_try_advisory_lock(%(ear)s::bigint) then pg_advisory_unlock(%(ear)s::bigint)
            else false end then null
        else pg_notify(%(channel)s, 'end')::text
    end;
