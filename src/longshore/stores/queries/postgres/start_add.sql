-- Count starts, with the others of the same part of their period; what no longer counts goes.
insert into longshore_start as s (limit_key, part, at, starts, base, gone_at, most, per)
select c.key, c.part, array[c.at], array[c.starts], 0, c.gone_at, c.most, c.per
from unnest(
    %(c0)s::text[], %(c1)s::bigint[], %(c2)s::bigint[], %(c3)s::bigint[], %(c4)s::bigint[],
    %(c5)s::bigint[], %(c6)s::bigint[]
) as c (key, part, at, starts, gone_at, most, per)
on conflict (limit_key) do update
set at = s.at[
        width_bucket(2 * excluded.at[1] - excluded.gone_at, s.at) + 1
        : cardinality(s.at) - (s.part = excluded.part)::int
    ] || greatest(excluded.at[1], s.at[cardinality(s.at)]),
    starts = s.starts[
        width_bucket(2 * excluded.at[1] - excluded.gone_at, s.at) + 1
        : cardinality(s.at) - (s.part = excluded.part)::int
    ] || s.starts[cardinality(s.at)] + excluded.starts[1],
    base = coalesce(s.starts[width_bucket(2 * excluded.at[1] - excluded.gone_at, s.at)], s.base),
    part = excluded.part, gone_at = excluded.gone_at, most = excluded.most, per = excluded.per;
