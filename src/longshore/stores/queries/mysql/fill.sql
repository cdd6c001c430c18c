-- Put outputs of others into the arguments of jobs.
update json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    payload longtext character set utf8mb4 path '$[1]'
)) as v straight_join longshore_job as j on j.id = v.id
set j.payload = convert(v.payload using utf8mb4);
