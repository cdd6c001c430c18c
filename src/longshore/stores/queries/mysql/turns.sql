-- Where the last turns ended in these queues and priorities.
select t.queue, t.priority, convert(t.fair_key using utf8mb4), t.ends_at
from json_table(%(levels)s, '$[*]' columns (
    queue varchar(64) character set ascii path '$[0]',
    priority int path '$[1]'
)) as v straight_join longshore_turn as t on t.queue = v.queue and t.priority = v.priority;
