-- How many jobs run under each of these keys.
select e.value, (select count(*) from longshore_slot where limit_key = e.value)
from json_each(:keys) as e;
