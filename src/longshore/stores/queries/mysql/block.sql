-- Take jobs out of the ready line: they wait for a key. Which queues have such jobs is noted first.
insert ignore into longshore_gate (limit_key, queue, line)
select distinct v.limit_key, j.queue, concat('!', left(sha2(v.limit_key, 256), 32), left(sha2(j.queue, 256), 31))
from json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    limit_key varchar(700) character set utf8mb4 path '$[1]'
)) as v straight_join longshore_job as j on j.id = v.id;
update json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    limit_key varchar(700) character set utf8mb4 path '$[1]'
)) as v straight_join longshore_job as j on j.id = v.id
set j.blocked_by = v.limit_key, j.place = j.priority,
    j.line = concat('!', left(sha2(v.limit_key, 256), 32), left(sha2(j.queue, 256), 31));
