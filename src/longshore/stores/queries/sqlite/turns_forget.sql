-- Forget turns that ended before the virtual time, which itself stays.
delete from longshore_turn
where queue = ?1 and priority = ?2 and fair_key <> '*' and ends_at <= ?3;
