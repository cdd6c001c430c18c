-- Tell those who wait for ends, apart from the commit that ended something. A commit that tells lets
-- no other commit that tells go on before it is on disk; this one has nothing to write there.
select set_config('synchronous_commit', 'off', true), pg_notify(%(channel)s, 'end');
