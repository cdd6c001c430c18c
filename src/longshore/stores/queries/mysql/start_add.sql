-- Note starts, with others of the same hundredth of their period.
insert into longshore_start (limit_key, part, at, starts, gone_at, most, per)
values (%s, %s, %s, %s, %s, %s, %s)
on duplicate key update at = greatest(at, values(at)), starts = starts + values(starts),
    gone_at = greatest(gone_at, values(gone_at)), most = values(most), per = values(per);
