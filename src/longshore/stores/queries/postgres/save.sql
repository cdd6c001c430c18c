-- Write the progress of running jobs.
update longshore_job as j set progress = e.progress
from unnest(%(c0)s::uuid[], %(c1)s::text[]) as e (id, progress)
where j.id = e.id;
