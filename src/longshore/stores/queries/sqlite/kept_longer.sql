-- Keep ended members of unfinished bundles for longer; looked at are the first that would go.
update longshore_ended set kept_until = :until
where rowid in (
    select first.place from (
        select rowid as place, id, rules from longshore_ended indexed by longshore_ended_kept
        where kept_until is not null and kept_until <= :now
        order by kept_until
        limit :limit
    ) as first
    where first.rules is not null and exists (
        select 1 from longshore_member as m join longshore_bundle as b on b.id = m.bundle_id
        where m.job_id = first.id and b.finished_at is null
    )
);
