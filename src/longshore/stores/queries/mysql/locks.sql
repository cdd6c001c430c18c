-- Hold these numbers, one after another, until the operation ends.
select number from longshore_lock where number in %(numbers)s order by number for update;
