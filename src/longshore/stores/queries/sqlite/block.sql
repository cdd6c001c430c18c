-- Take one job out of the line until its key has room.
update longshore_job set blocked_by = ?2 where id = ?1;
