-- Jobs by queue and state.
select queue, state, sum(jobs) from longshore_count where jobs <> 0 group by queue, state;
