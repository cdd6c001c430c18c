-- Create a process's record and lease; a repeated request finds it there.
insert into longshore_process (
    id, app, name, host, pid, queues, kinds, slots, embedded, started_at, seen_at, boot_id,
    expires_at, version
) values (
    :id, :app, :name, :host, :pid, :queues, :kinds, :slots, :embedded, :now, :now, :boot_id,
    :expires_at, :version
)
on conflict do nothing;
