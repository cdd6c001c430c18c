-- Forget when these jobs were to expire: it has come.
delete from longshore_expiry where expires_at <= %(now)s and id in %(ids)s;
