-- Let ended jobs with rules live again, but for those whose unique key another one holds.
insert ignore into longshore_hold (unique_key, job_id, held_until)
select v.unique_key, v.id, v.held_until
from json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    unique_key varchar(700) character set utf8mb4 path '$[2]',
    held_until bigint path '$[3]'
)) as v
where v.unique_key is not null;
insert into longshore_job (
    id, state, queue, priority, scheduled_at, run, claimed_by, claimed_at, attempted_at,
    max_attempts, created_at, expires_at, timeout, keep_result, kind, tags, meta, progress, runs,
    identity, fair_key, rules, payload, line, place
)
select
    j.id, 'available', j.queue, j.priority, v.now, j.run, j.claimed_by, coalesce(j.claimed_at, 0),
    coalesce(j.attempted_at, 0), j.max_attempts, j.created_at,
    if(j.expires_at <= v.now, null, j.expires_at), j.timeout, j.keep_result, j.kind, j.tags, j.meta,
    j.progress, j.runs, j.identity, v.fair_key, j.rules, j.payload,
    if(v.fair_key is null, j.queue, convert(concat(
        '+', left(sha2(j.queue, 256), 32), left(sha2(v.fair_key, 256), 31)
    ) using ascii)), j.priority
from json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    now bigint path '$[1]',
    unique_key varchar(700) character set utf8mb4 path '$[2]',
    fair_key varchar(700) character set utf8mb4 path '$[4]'
)) as v straight_join longshore_ended as j on j.id = v.id
where v.unique_key is null
   or exists (
       select 1 from longshore_hold as h
       where h.unique_key = cast(v.unique_key as binary) and h.job_id = v.id
   );
