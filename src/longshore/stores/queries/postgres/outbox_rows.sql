-- What an outbox holds for a store, in order.
select position, made_at, job, parked from longshore_outbox
where store = %(store)s and position > %(after)s order by position limit %(limit)s;
