-- Whether there are keys without starts that count.
select 1 from longshore_start where gone_at <= %(now)s limit 1;
