-- Add to the number of ended jobs of one queue, kind and state, without touching what is there.
insert into longshore_count (queue, kind, state, jobs) values (%s, %s, %s, %s);
