-- Set what holds for every limit of this name.
insert into longshore_limit (name, most, per) values (%(name)s, %(most)s, %(per)s)
on duplicate key update most = values(most), per = values(per);
