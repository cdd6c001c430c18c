-- Running jobs of these processes that a person wants to end.
select j.id, p.id, j.run
from longshore_process as p straight_join longshore_job as j on j.line = concat('~', p.id)
where p.id in %(ids)s and j.cancel_requested;
