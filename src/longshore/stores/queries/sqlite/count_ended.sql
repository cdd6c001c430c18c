-- How many ended jobs there are of each queue, kind and state.
select queue, kind, state, jobs from longshore_count
where jobs <> 0
  and (:queues is null or queue in (select value from json_each(:queues)))
  and (:kinds is null or kind in (select value from json_each(:kinds)));
