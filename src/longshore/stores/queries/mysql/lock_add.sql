-- Make numbers to hold.
insert ignore into longshore_lock (number) values (%s);
