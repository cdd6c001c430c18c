-- Keys that have room again.
select limit_key from longshore_opening where opens_at <= %(now)s order by opens_at;
