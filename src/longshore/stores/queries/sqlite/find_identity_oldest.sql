-- Ids of jobs with these identities that fit, the oldest created first, live and ended.
with found (id) as (
    select j.id
    from json_each(:identities) as e cross join longshore_job as j on j.id in (
        select id from longshore_job indexed by longshore_job_identity
        where identity = e.value and id > :cursor
          and (:states is null or state in (select value from json_each(:states)))
          and (:queues is null or queue in (select value from json_each(:queues)))
          and (:kinds is null or kind in (select value from json_each(:kinds)))
        order by id limit :limit
    )
    union all
    select j.id
    from json_each(:identities) as e cross join longshore_ended as j on j.id in (
        select id from longshore_ended indexed by longshore_ended_identity
        where identity = e.value and id > :cursor
          and (:states is null or state in (select value from json_each(:states)))
          and (:queues is null or queue in (select value from json_each(:queues)))
          and (:kinds is null or kind in (select value from json_each(:kinds)))
        order by id limit :limit
    )
)
select id from found order by id limit :limit;
