-- Ended members of what is unfinished, or may be retried as a whole, among the first jobs that are
-- past their retention; and whether it is the former.
select e.id, exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = e.id and b.finished_at is null
)
from (
    select id, rules from longshore_ended indexed by longshore_ended_kept
    where kept_until is not null and kept_until <= :now
    order by kept_until
    limit :limit
) as e
where e.rules is not null and exists (
    select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
    where m.job_id = e.id
      and (
          b.finished_at is null
          or b.sort <> 'batch' and b.dead + b.cancelled > 0
          and (b.kept_until is null or b.kept_until > :now)
      )
);
