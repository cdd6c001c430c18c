-- What a person's order has to know of ended jobs.
select j.id, j.state, j.queue, j.kind, j.rules, j.attempted_at
from json_each(:ids) as e cross join longshore_ended as j on j.id = e.value;
