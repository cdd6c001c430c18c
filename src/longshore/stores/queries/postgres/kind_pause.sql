-- Hold a kind back in all queues.
insert into longshore_kind (kind, reason, paused_until) values (%(kind)s, %(reason)s, %(until)s)
on conflict (kind) do update set reason = excluded.reason, paused_until = excluded.paused_until;
