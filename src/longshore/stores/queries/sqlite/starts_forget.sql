-- Forget starts that no window sees any more.
delete from longshore_start where gone_at <= :now;
