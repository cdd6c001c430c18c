-- Keep ended members of unfinished bundles for longer; looked at are the first that would go.
update longshore_ended as r join (
    select id, rules from longshore_ended
    where kept_until <= %(now)s
    order by kept_until
    limit %(limit)s
) as f on f.id = r.id
set r.kept_until = %(until)s
where f.rules is not null and exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = f.id and b.finished_at is null
);
