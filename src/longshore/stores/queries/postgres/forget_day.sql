-- Forget the counts of a day whose partition is gone.
delete from longshore_count where day = %(day)s;
