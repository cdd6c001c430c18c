-- Forget keys without starts that count; those that somebody adds to just now are left.
delete from longshore_start where ctid = any(array(
    select ctid from longshore_start where gone_at <= %(now)s limit 10000 for update skip locked
));
