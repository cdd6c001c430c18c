-- Note where the last turns ended.
insert into longshore_turn (queue, priority, fair_key, ends_at)
select * from unnest(%(c0)s::text[], %(c1)s::smallint[], %(c2)s::text[], %(c3)s::bigint[])
on conflict (queue, priority, fair_key) do update set ends_at = excluded.ends_at;
