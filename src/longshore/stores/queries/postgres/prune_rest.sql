-- Delete jobs without a day that are past their retention, the oldest first.
with old as materialized (
    select ctid as place from longshore_ended_rest as r
    where kept_until is not null and kept_until <= %(now)s
      and (
          r.rules is null or not exists (
              select from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
              where m.job_id = r.id
                and (
                    b.finished_at is null
                    or b.sort <> 'batch' and b.dead + b.cancelled > 0
                    and (b.kept_until is null or b.kept_until > %(now)s)
                )
          )
      )
    order by kept_until
    limit %(limit)s
    for update of r skip locked
), gone as (
    delete from longshore_ended_rest where ctid = any(array(select place from old))
    returning day, queue, kind, state
), counted as (
    insert into longshore_count (jobs, day, queue, kind, state)
    select -count(*), day, queue, kind, state from gone group by day, queue, kind, state
)
select count(*) from gone;
