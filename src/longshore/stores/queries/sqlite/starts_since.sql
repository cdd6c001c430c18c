-- How many starts each of these keys has seen since this time.
select e.value, (
    select coalesce(sum(starts), 0) from longshore_start
    where limit_key = e.value and at > :since
)
from json_each(:keys) as e;
