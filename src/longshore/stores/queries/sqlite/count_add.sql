-- Add to the number of jobs of one queue, kind and state.
insert into longshore_count (queue, kind, state, jobs) values (?1, ?2, ?3, ?4)
on conflict (queue, kind, state) do update set jobs = jobs + excluded.jobs;
