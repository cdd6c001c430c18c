-- Processes that have running jobs and no lease, however many jobs each has.
select substr(f.line, 2)
from (select line from longshore_job where line > '~' group by line) as f
    left join longshore_process as p
    on p.id = substr(f.line, 2) and p.expires_at > %(lease_now)s
where p.id is null
order by 1;
