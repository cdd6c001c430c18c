-- Whether a job with an id of this range has ended: then an insert may be a repetition.
select exists (select 1 from longshore_ended where id between :low and :high);
