-- A job stays for another relay, and nobody need wait for this one.
update longshore_outbox set held_until = null where position = %(position)s;
