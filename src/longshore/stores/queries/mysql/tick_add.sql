-- What became of ticks.
insert into longshore_tick (name, at, outcome, why, job_id, made_at)
values (%s, %s, %s, %s, %s, %s)
on duplicate key update name = values(name);
