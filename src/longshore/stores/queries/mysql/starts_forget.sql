-- Forget starts that have left the windows of their rates.
delete from longshore_start where gone_at <= %(now)s order by gone_at limit 1000;
