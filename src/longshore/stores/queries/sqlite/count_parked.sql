-- How many jobs of each queue and kind are parked.
select queue, kind, state, count(*) from longshore_job indexed by longshore_job_parked
where parked is not null
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
group by queue, kind, state;
