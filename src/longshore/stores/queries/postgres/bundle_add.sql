-- Store bundles, finished at once where they are empty; a repeated request finds them there.
insert into longshore_bundle
    (id, sort, name, created_at, entry, told, finished_at, kept_until)
select * from unnest(
    %(c0)s::uuid[], %(c1)s::text[], %(c2)s::text[], %(c3)s::bigint[], %(c4)s::text[],
    %(c5)s::integer[], %(c6)s::bigint[], %(c7)s::bigint[]
)
on conflict do nothing;
