-- These keys have no time any more at which they have room.
delete from longshore_opening where limit_key = any(%(keys)s::text[]);
