-- Some of the jobs that have an identity, and whether they are there.
select i.id, exists (select 1 from longshore_job as j where j.id = i.id)
    or exists (select 1 from longshore_ended as e where e.id = i.id)
from (
    select distinct id from longshore_identity where id > %(after)s order by id limit %(limit)s
) as i;
