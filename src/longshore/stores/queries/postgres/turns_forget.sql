-- Forget turns that no longer tell anything.
delete from longshore_turn as t
using unnest(%(c0)s::text[], %(c1)s::smallint[], %(c2)s::bigint[]) as e (queue, priority, clock)
where t.queue = e.queue and t.priority = e.priority and t.ends_at <= e.clock
  and t.fair_key <> '*';
