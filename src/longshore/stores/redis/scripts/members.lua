-- Ids of the members of a batch or workflow, in order. ARGV: which, whether only live ones, behind
-- which id (empty: from the first), how many.
local key = P .. (ARGV[5] == '1' and 'live:' or 'members:') .. ARGV[4]
local from = ARGV[6] == '' and '-' or '(' .. ARGV[6]
return call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, ARGV[7])
