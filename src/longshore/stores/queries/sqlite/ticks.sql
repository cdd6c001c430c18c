-- What became of the last ticks of a schedule.
select at, outcome, why, job_id, made_at
from longshore_tick
where name = :name
order by at desc
limit :limit;
