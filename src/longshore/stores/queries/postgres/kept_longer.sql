-- Keep ended members of unfinished bundles for longer; looked at are the first that would go.
with first as materialized (
    select id, rules from longshore_ended_rest
    where kept_until is not null and kept_until <= %(now)s
    order by kept_until
    limit %(limit)s
)
update longshore_ended_rest as r set kept_until = %(until)s
from first as f
where r.id = f.id and f.rules is not null and exists (
    select from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = f.id and b.finished_at is null
);
