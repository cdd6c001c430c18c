-- How many jobs of each queue and kind wait for their time; the index alone is read.
select queue, kind, state, count(*) from longshore_job indexed by longshore_job_due
where state in ('scheduled', 'retrying')
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)))
group by queue, kind, state;
