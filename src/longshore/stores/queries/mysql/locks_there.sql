-- Those of these numbers that can be held.
select number from longshore_lock where number in %(numbers)s;
