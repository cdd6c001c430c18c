-- Processes that have running jobs and no lease: one seek a process, however many jobs it has.
with recursive found (id) as (
    select (
        select claimed_by from longshore_job indexed by longshore_job_running
        where state = 'running'
        order by claimed_by limit 1
    )
    union all
    select (
        select claimed_by from longshore_job indexed by longshore_job_running
        where state = 'running' and claimed_by > found.id
        order by claimed_by limit 1
    )
    from found where found.id is not null
)
select found.id
from found left join longshore_process as p
    on p.id = found.id and p.boot_id = :boot_id and p.expires_at > :boot_now
where found.id is not null and p.id is null;
