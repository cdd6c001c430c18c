-- Ended members of what is unfinished, or may be retried as a whole, among the first jobs that are
-- past their retention; and whether it is the former.
select f.id, exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = f.id and b.finished_at is null
)
from (
    select id, rules from longshore_ended
    where kept_until <= %(now)s
    order by kept_until
    limit %(limit)s
) as f
where f.rules is not null and exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = f.id
      and (
          b.finished_at is null
          or b.sort <> 'batch' and b.dead + b.cancelled > 0
          and (b.kept_until is null or b.kept_until > %(now)s)
      )
);
