-- Jobs use their limits no more.
delete s
from json_table(%(rows)s, '$[*]' columns (
    limit_key varchar(700) character set utf8mb4 path '$[0]',
    job_id varchar(36) character set ascii path '$[1]'
)) as v straight_join longshore_slot as s
    on s.limit_key = cast(v.limit_key as binary) and s.job_id = v.job_id;
