-- Note when keys have room again.
insert into longshore_opening (limit_key, opens_at)
select * from unnest(%(c0)s::text[], %(c1)s::bigint[])
on conflict (limit_key) do update set opens_at = excluded.opens_at;
