-- Write what is counted of bundles and what has come to pass.
update json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    succeeded bigint path '$[1]',
    cancelled bigint path '$[2]',
    dead bigint path '$[3]',
    told int path '$[4]',
    finished_at bigint path '$[5]',
    kept_until bigint path '$[6]'
)) as v straight_join longshore_bundle as b on b.id = v.id
set b.succeeded = v.succeeded, b.cancelled = v.cancelled, b.dead = v.dead, b.told = v.told,
    b.finished_at = v.finished_at, b.kept_until = v.kept_until;
