-- A job cannot go where it should; a person is needed.
update longshore_outbox set parked = %(why)s where position = %(position)s;
