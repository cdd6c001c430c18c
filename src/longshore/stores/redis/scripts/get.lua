-- uses: more, records
-- Records by id; false where there is none. ARGV: ids.
return records(rest(4))
