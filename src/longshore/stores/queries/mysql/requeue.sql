-- End runs whose jobs go on; process and run stay, to know a repeated report by.
update json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    state varchar(20) character set ascii path '$[1]',
    scheduled_at bigint path '$[2]',
    failed int path '$[3]',
    runs longtext character set utf8mb4 path '$[4]',
    budgets longtext character set utf8mb4 path '$[5]',
    queue varchar(64) character set ascii path '$[6]',
    priority int path '$[7]',
    parked longtext character set utf8mb4 path '$[8]',
    parked_by varchar(100) character set ascii path '$[9]',
    reason longtext character set utf8mb4 path '$[10]',
    interrupted int path '$[11]'
)) as v straight_join longshore_job as j on j.id = v.id
-- Whose run it was is read before the line changes.
set j.claimed_by = substr(j.line, 2), j.state = v.state,
    j.scheduled_at = coalesce(v.scheduled_at, j.scheduled_at), j.failures = j.failures + v.failed, j.runs = v.runs, j.budgets = coalesce(v.budgets, j.budgets),
    j.queue = coalesce(v.queue, j.queue), j.priority = coalesce(v.priority, j.priority),
    j.parked = v.parked, j.parked_by = v.parked_by, j.reason = v.reason,
    j.interruptions = j.interruptions + v.interrupted,
    j.line = case
        when v.state in ('scheduled', 'retrying') then '#due'
        when v.parked is not null then '#parked'
        when j.fair_key is null then coalesce(v.queue, j.queue)
        else convert(concat(
            '+', left(sha2(coalesce(v.queue, j.queue), 256), 32), left(sha2(j.fair_key, 256), 31)
        ) using ascii)
    end,
    j.place = if(v.state = 'available', coalesce(v.priority, j.priority), 0);
