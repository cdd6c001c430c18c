-- Note where the last turn of one value ended.
insert into longshore_turn (queue, priority, fair_key, ends_at) values (?1, ?2, ?3, ?4)
on conflict (queue, priority, fair_key) do update set ends_at = excluded.ends_at;
