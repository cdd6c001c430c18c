-- Count starts, with the others of the same part of their period.
insert into longshore_start as s (limit_key, part, at, starts, gone_at, most, per)
select * from unnest(
    %(c0)s::text[], %(c1)s::bigint[], %(c2)s::bigint[], %(c3)s::bigint[], %(c4)s::bigint[],
    %(c5)s::bigint[], %(c6)s::bigint[]
)
on conflict (limit_key, part) do update
set at = excluded.at, starts = s.starts + excluded.starts, gone_at = excluded.gone_at,
    most = excluded.most, per = excluded.per;
