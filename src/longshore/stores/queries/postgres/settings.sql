-- What people have set for limits.
select name, most, per from longshore_limit;
