-- How many connections there are now.
show global status where variable_name in ('Threads_connected');
