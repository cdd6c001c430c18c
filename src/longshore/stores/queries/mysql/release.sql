-- Give running jobs back: they keep their places, and nobody may report on the runs any more.
update json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    interruptions int path '$[1]',
    runs longtext character set utf8mb4 path '$[2]'
)) as v straight_join longshore_job as j on j.id = v.id
set j.state = 'available', j.claimed_by = null, j.interruptions = j.interruptions + v.interruptions,
    j.runs = v.runs, j.place = j.priority,
    j.line = if(j.fair_key is null, j.queue, convert(concat(
        '+', left(sha2(j.queue, 256), 32), left(sha2(j.fair_key, 256), 31)
    ) using ascii));
