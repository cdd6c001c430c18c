-- Hold a kind back.
insert into longshore_kind (kind, reason, paused_until) values (:kind, :reason, :until)
on conflict (kind) do update set reason = excluded.reason, paused_until = excluded.paused_until;
