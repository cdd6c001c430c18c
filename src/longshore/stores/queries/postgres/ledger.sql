-- The starts of these keys, by key, the oldest first.
select s.limit_key, u.at, u.total - coalesce(s.starts[u.number - 1], s.base)
from longshore_start as s
cross join lateral unnest(s.at, s.starts) with ordinality as u (at, total, number)
where s.limit_key = any(%(keys)s::text[])
order by s.limit_key, u.at;
