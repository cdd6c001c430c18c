-- Tell who listens of what was committed before. A commit that tells lets no other commit that tells
-- go on before it is on disk; this one has nothing to write there.
select set_config('synchronous_commit', 'off', true), pg_notify(%(channel)s, %(what)s::text);
