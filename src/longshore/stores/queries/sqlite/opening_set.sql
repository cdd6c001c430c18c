-- Note when a key opens.
insert into longshore_opening (limit_key, opens_at) values (?1, ?2)
on conflict (limit_key) do update set opens_at = excluded.opens_at;
