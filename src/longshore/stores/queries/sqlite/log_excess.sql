-- The latest line of each of these logs that is one too many.
select e.value, (
    select number from longshore_log where job_id = e.value
    order by number desc limit 1 offset :lines
)
from json_each(:ids) as e;
