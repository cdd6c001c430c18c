-- The tick before the last ones that are kept.
select at from longshore_tick where name = :name order by at desc limit 1 offset :kept;
