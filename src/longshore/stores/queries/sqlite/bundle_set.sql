-- Write what is counted of a bundle and what has come to pass.
update longshore_bundle
set succeeded = ?2, cancelled = ?3, dead = ?4, told = ?5, finished_at = ?6, kept_until = ?7
where id = ?1;
