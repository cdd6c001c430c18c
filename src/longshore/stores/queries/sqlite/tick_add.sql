-- What became of ticks.
insert into longshore_tick (name, at, outcome, why, job_id, made_at)
values (?1, ?2, ?3, ?4, ?5, ?6)
on conflict (name, at) do nothing;
