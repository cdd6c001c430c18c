-- Let a kind go on.
delete from longshore_kind where kind = :kind;
