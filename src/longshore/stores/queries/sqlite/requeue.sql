-- End a run whose job goes on; process and run stay, to know a repeated report by.
update longshore_job
set state = ?2, scheduled_at = coalesce(?3, scheduled_at), failures = failures + ?4, runs = ?5,
    budgets = coalesce(?6, budgets), queue = coalesce(?7, queue), priority = coalesce(?8, priority),
    parked = ?9, parked_by = ?10, reason = ?11, interruptions = interruptions + ?12
where id = ?1;
