-- Processes that have running jobs and no lease: one seek a process, however many jobs it has.
with recursive found (id) as (
    (
        select claimed_by from longshore_job
        where state = 'running'
        order by claimed_by limit 1
    )
    union all
    select (
        select claimed_by from longshore_job
        where state = 'running' and claimed_by > found.id
        order by claimed_by limit 1
    )
    from found where found.id is not null
)
select found.id
from found left join longshore_process as p
    on p.id = found.id and p.expires_at > %(lease_now)s
where found.id is not null and p.id is null;
