-- Forget turns that have ended before the virtual time: they tell nothing.
delete t
from json_table(%(rows)s, '$[*]' columns (
    queue varchar(64) character set ascii path '$[0]',
    priority int path '$[1]',
    clock bigint path '$[2]'
)) as v straight_join longshore_turn as t on t.queue = v.queue and t.priority = v.priority
where t.ends_at <= v.clock and t.fair_key <> '*';
