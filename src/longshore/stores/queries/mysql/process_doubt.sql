-- Note since when a process is doubted: below zero, which is no lease and can be renewed.
-- Not one that was renewed meanwhile.
update longshore_process set expires_at = %(since)s where id = %(id)s and expires_at + %(since)s <= 0;
