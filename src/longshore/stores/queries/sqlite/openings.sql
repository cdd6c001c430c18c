-- Keys that have opened by now.
select limit_key from longshore_opening indexed by longshore_opening_next
where opens_at <= :now order by opens_at;
