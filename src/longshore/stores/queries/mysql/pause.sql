-- Hold a queue back.
insert into longshore_queue (name, reason, paused_until) values (%(name)s, %(reason)s, %(until)s)
on duplicate key update reason = values(reason), paused_until = values(paused_until);
