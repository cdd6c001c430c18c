-- Keep what a job's body raised after the job had ended well.
update longshore_ended set reason = %(reason)s
where id = %(id)s::uuid and claimed_by = %(process_id)s and run = %(run)s and state = 'succeeded'
  and (
      day is null
      or day = ('x' || translate(left(%(id)s::text, 13), '-', ''))::bit(48)::bigint / 86400000
  );
