-- Which store this is.
select id from longshore_store where one = 1;
