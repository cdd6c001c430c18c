-- What was on its way to a store that is gone goes to this one.
update longshore_outbox set store = %(store)s, held_until = null where store = %(other)s;
