-- Kinds of job that are held back now, and why.
select kind, reason, paused_until from longshore_kind
where paused_until is null or paused_until > %(now)s
order by kind;
