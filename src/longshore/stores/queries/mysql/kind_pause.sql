-- Hold a kind of job back.
insert into longshore_kind (kind, reason, paused_until) values (%(kind)s, %(reason)s, %(until)s)
on duplicate key update reason = values(reason), paused_until = values(paused_until);
