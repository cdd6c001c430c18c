-- Whether starts have left the windows of their rates.
select 1 from longshore_start where gone_at <= %(now)s limit 1;
