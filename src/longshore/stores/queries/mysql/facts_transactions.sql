-- For how many seconds the oldest transaction of others has been open; needs the right PROCESS.
select max(timestampdiff(second, trx_started, now()))
from information_schema.innodb_trx where trx_mysql_thread_id <> connection_id();
