-- What the last start under each of these rates knew of it.
select e.key, s.most, s.per
from unnest(%(keys)s::text[]) as e (key) cross join lateral (
    select most, per from longshore_start
    where limit_key = e.key order by part desc limit 1
) as s;
