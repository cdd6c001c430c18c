-- Note when a key opens.
insert into longshore_opening (limit_key, opens_at) values (%s, %s)
on duplicate key update opens_at = values(opens_at);
