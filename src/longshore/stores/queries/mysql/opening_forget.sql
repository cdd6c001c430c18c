-- Forget when these keys open.
delete from longshore_opening where limit_key in %(keys)s;
