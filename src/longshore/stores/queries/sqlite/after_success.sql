-- Keep what a job's body raised after the job had ended well.
update longshore_ended set reason = :reason
where id = :id and claimed_by = :process_id and run = :run and state = 'succeeded';
