-- Renew the leases of processes that have one, or had one and nobody has taken a job of theirs. A
-- statement, and so all of its rows, goes by one time.
update longshore_process
set expires_at = coalesce(%(now)s, timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)))
                 + %(lease)s,
    seen_at = coalesce(%(now)s, timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)))
where id in %(ids)s and expires_at <> 0;
