-- Store bundles; a repeated request finds them there.
insert into longshore_bundle (id, sort, name, created_at, entry)
select * from unnest(%(c0)s::uuid[], %(c1)s::text[], %(c2)s::text[], %(c3)s::bigint[], %(c4)s::text[])
on conflict do nothing;
