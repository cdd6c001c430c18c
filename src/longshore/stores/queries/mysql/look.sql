-- What a claim has to know first: the time (by the server's clock, unless one is given), whether
-- the process has a lease, whether this claim was made before, when the next job falls due, when
-- the next one expires, when the next full key opens, and whether a queue or a kind is paused or
-- jobs take turns.
-- The process is held: who finds it dead finds all that it has claimed.
select
    coalesce(%(now)s, timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))),
    (select expires_at from longshore_process where id = %(process_id)s lock in share mode),
    exists (
        select 1 from longshore_job
        where line = concat('~', %(process_id)s) and place = %(claim_id)s
    ),
    (
        select scheduled_at from longshore_job
        where line = '#due' and place = 0
        order by line, place, scheduled_at limit 1
    ),
    (select min(expires_at) from longshore_expiry),
    (select min(opens_at) from longshore_opening),
    exists (select 1 from longshore_queue) or exists (select 1 from longshore_kind) or exists (
        select 1 from longshore_job where line > '+' and line < ','
    );
