-- Forget starts of these keys that have left the windows of their rates.
delete from longshore_start where limit_key in %(keys)s and gone_at <= %(now)s;
