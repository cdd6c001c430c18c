-- Whether there are starts that no longer count.
select 1 from longshore_start where gone_at <= %(now)s limit 1;
