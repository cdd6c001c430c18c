-- Ended jobs past their retention, the oldest first.
select e.id, e.queue, e.kind, e.state
from longshore_ended as e
where e.kept_until <= %(now)s
  and (
      e.rules is null or not exists (
          select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
          where m.job_id = e.id
            and (
                b.finished_at is null
                or b.sort <> 'batch' and b.dead + b.cancelled > 0
                and (b.kept_until is null or b.kept_until > %(now)s)
            )
      )
  )
order by e.kept_until
limit %(limit)s
for update skip locked;
