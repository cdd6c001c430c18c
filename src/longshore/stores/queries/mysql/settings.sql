-- What people have set for limits.
select convert(name using utf8mb4), most, per from longshore_limit order by name;
