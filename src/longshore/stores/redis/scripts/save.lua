-- uses: freeing, basics
-- Write progress of running jobs. ARGV: for each id, how its state must begin, progress.
-- Answers the numbers (from 0) of those that do not hold.
local ids, refused, saved = {}, {}, {}
for at = 4, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
for index, state in ipairs(values(P .. 'state', ids)) do
  local lease = ARGV[3 * index + 2]
  if state and sub(state, 1, #lease) == lease then
    saved[#saved + 1] = ids[index]
    saved[#saved + 1] = ARGV[3 * index + 3]
  else
    refused[#refused + 1] = index - 1
  end
end
each('HSET', P .. 'progress', saved)
return refused
