-- Ended members of unfinished bundles among the first jobs that are past their retention.
select e.id from (
    select id, rules from longshore_ended indexed by longshore_ended_kept
    where kept_until is not null and kept_until <= :now
    order by kept_until
    limit :limit
) as e
where e.rules is not null and exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = e.id and b.finished_at is null
);
