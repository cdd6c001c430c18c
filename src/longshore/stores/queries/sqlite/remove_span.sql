-- Take the jobs from one id to another out of those that wait or run.
delete from longshore_job where id >= :first and id <= :last;
