-- The saved steps of jobs. ARGV: ids. Answers for each id names and words in turns.
local found = {}
for at = 4, #ARGV do found[#found + 1] = call('HGETALL', P .. 'steps:' .. ARGV[at]) end
return found
