-- Forget what became of all ticks of a schedule, or of those up to a time.
delete from longshore_tick where name = %(name)s and at <= %(until)s;
