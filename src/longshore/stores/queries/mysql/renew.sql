-- Renew the leases of processes.
update json_table(%(rows)s, '$[*]' columns (
    id varchar(100) character set ascii path '$[0]',
    expires_at bigint path '$[1]',
    seen_at bigint path '$[2]'
)) as v straight_join longshore_process as p on p.id = v.id
set p.expires_at = v.expires_at, p.seen_at = v.seen_at;
