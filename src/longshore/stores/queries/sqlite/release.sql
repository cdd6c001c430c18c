-- Give one running job back: it keeps its place, and nobody may report on the run any more.
update longshore_job
set state = 'available', claimed_by = null, interruptions = interruptions + ?2, runs = ?3
where id = ?1;
