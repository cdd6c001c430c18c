-- Ended jobs past their retention, the oldest first, but for members of what is unfinished or may be retried.
select rowid, queue, kind, state
from longshore_ended as e indexed by longshore_ended_kept
where kept_until is not null and kept_until <= :now
  and (
      rules is null or not exists (
          select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
          where m.job_id = e.id
            and (
                b.finished_at is null
                or b.sort <> 'batch' and b.dead + b.cancelled > 0
                and (b.kept_until is null or b.kept_until > :now)
            )
      )
  )
order by kept_until
limit :limit;
