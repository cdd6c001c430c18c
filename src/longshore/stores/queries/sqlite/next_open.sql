-- When the next key opens that has blocked jobs.
select opens_at from longshore_opening as o indexed by longshore_opening_next
where exists (
    select 1 from longshore_job indexed by longshore_job_blocked where blocked_by = o.limit_key
)
order by opens_at limit 1;
