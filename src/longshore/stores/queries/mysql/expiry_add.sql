-- Note when jobs expire.
insert ignore into longshore_expiry (expires_at, id) values (%s, %s);
