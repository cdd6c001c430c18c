-- How many jobs of each queue and kind limits and paused kinds hold back; the index alone is read.
select queue, kind, 'available', count(*) from longshore_job indexed by longshore_job_blocked
where blocked_by is not null
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
group by queue, kind;
