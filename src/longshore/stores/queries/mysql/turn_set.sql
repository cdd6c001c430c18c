-- Note where turns end.
insert into longshore_turn (queue, priority, fair_key, ends_at) values (%s, %s, %s, %s)
on duplicate key update ends_at = values(ends_at);
