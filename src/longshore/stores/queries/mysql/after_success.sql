-- Keep what a job's body raised after the job had ended well.
update longshore_ended set reason = %(reason)s
where id = %(id)s and claimed_by = %(process_id)s and run = %(run)s and state = 'succeeded';
