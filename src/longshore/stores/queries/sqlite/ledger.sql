-- The starts of these keys, the oldest first.
select j.limit_key, j.at, j.starts
from json_each(:keys) as e cross join longshore_start as j on j.limit_key = e.value
order by e.key, j.part;
