-- Create a process's record and lease; a repeated request finds it there.
insert into longshore_process (
    id, app, name, host, pid, queues, kinds, slots, embedded, started_at, seen_at, expires_at,
    version
) values (
    %(id)s, %(app)s, %(name)s, %(host)s, %(pid)s, %(queues)s, %(kinds)s, %(slots)s,
    %(embedded)s::integer::boolean, %(now)s, %(now)s, %(expires_at)s, %(version)s
)
on conflict do nothing;
