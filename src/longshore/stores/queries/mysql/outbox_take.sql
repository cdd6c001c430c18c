-- The jobs that are next on their way.
select position, job, held_until from longshore_outbox
where store = %(store)s and parked is null order by position limit %(limit)s;
