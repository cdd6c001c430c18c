-- How many jobs with these identities there are of each queue, kind and state.
with found (queue, kind, state) as (
    select j.queue, j.kind, j.state
    from json_each(:identities) as e
    cross join longshore_job as j indexed by longshore_job_identity on j.identity = e.value
    union all
    select j.queue, j.kind, j.state
    from json_each(:identities) as e
    cross join longshore_ended as j indexed by longshore_ended_identity on j.identity = e.value
)
select queue, kind, state, count(*) from found
where (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
group by queue, kind, state;
