-- Whether a day still holds a job that is kept.
select exists (
    select from longshore_ended
    where day = %(day)s and (kept_until > %(now)s or kept_until is null)
);
