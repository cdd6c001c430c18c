-- The ids of jobs from one to another, in their order and at most so many.
select json_group_array(id)
from (select id from longshore_job where id >= :first and id <= :last order by id limit :most);
