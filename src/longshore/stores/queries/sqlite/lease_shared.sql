-- Whether this run holds its lease, which it keeps until we end.
select 1 from longshore_job
where id = :id and state = 'running' and claimed_by = :process_id and run = :run;
