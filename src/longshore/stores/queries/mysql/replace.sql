-- Give a job that holds a unique key and does not run the arguments and the time of another.
update (
    select %s as id, %s as payload, %s as state, %s as scheduled_at, %s as expires_at,
           %s as identity, %s as held_until, %s as fair_key, %s as rules
) as v straight_join longshore_job as j on j.id = v.id
    left join longshore_hold as h on h.job_id = j.id
set j.payload = v.payload, j.state = v.state, j.scheduled_at = v.scheduled_at,
    j.expires_at = v.expires_at, j.identity = v.identity, j.fair_key = v.fair_key,
    j.rules = v.rules, j.parked = null, j.parked_by = null, j.blocked_by = null,
    j.place = if(v.state = 'available', j.priority, 0),
    j.line = case
        when v.state = 'waiting' then '#waiting'
        when v.state <> 'available' then '#due'
        when v.fair_key is null then j.queue
        else convert(concat(
            '+', left(sha2(j.queue, 256), 32), left(sha2(v.fair_key, 256), 31)
        ) using ascii)
    end,
    h.held_until = v.held_until;
