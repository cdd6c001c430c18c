-- Hold those of these numbers that nobody else holds, until the operation ends.
select number from longshore_lock where number in %(numbers)s order by number
for update skip locked;
