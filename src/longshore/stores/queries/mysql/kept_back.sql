-- Ended members of unfinished bundles among the first jobs that are past their retention.
select f.id from (
    select id, rules from longshore_ended
    where kept_until <= %(now)s
    order by kept_until
    limit %(limit)s
) as f
where f.rules is not null and exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = f.id and b.finished_at is null
);
