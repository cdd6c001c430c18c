-- Whether there are starts that no window sees any more.
select 1 from longshore_start where gone_at <= :now limit 1;
