-- Forget members of a bundle.
delete from longshore_member where bundle_id = %(bundle)s limit %(limit)s;
