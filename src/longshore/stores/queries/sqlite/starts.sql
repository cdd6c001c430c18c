-- How many starts each of these keys has seen since a time of its own.
with rate (key, since) as materialized (select value ->> 0, value ->> 1 from json_each(:rates))
select e.key, (
    select coalesce(sum(starts), 0) from longshore_start
    where limit_key = e.key and at > e.since
)
from rate as e;
