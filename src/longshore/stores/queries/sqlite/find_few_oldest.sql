-- Ids of ended jobs that fit, the oldest created first, where few do: by the index that helps most.
with picked (row) as (
    select rowid from longshore_ended
    where :by = 'state' and state <> 'succeeded'
      and state in (select value from json_each(:states))
    union all
    select rowid from longshore_ended
    where :by = 'queue' and queue in (select value from json_each(:queues))
    union all
    select rowid from longshore_ended
    where :by = 'kind' and kind in (select value from json_each(:kinds))
)
select id from picked cross join longshore_ended as j on j.rowid = picked.row
where id > :cursor
  and (:states is null or state in (select value from json_each(:states)))
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
order by id
limit :limit;
