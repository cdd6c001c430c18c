-- Ids of jobs that fit, the newest created first, read along the ids.
select id from longshore_job
where id < :cursor
  and (:states is null or state in (select value from json_each(:states)))
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
order by id desc
limit :limit;
