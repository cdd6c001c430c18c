-- Hold a queue back.
insert into longshore_queue (name, reason, paused_until) values (%(name)s, %(reason)s, %(until)s)
on conflict (name) do update set reason = excluded.reason, paused_until = excluded.paused_until;
