-- How many jobs of each queue and kind are ready to run; the indexes alone are read.
select queue, kind, 'available', count(*) from longshore_job indexed by longshore_job_line
where state = 'available' and parked is null and blocked_by is null and fair_key is null
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
group by queue, kind
union all
select queue, kind, 'available', count(*) from longshore_job indexed by longshore_job_fair
where state = 'available' and parked is null and blocked_by is null and fair_key is not null
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
group by queue, kind;
