-- uses: freeing, basics
-- Write what running jobs say. ARGV: for each its id, how its state must begin, progress or nothing,
-- how many steps and how many lines; then pairs of the names of steps and their words, and of the
-- numbers of lines and their words. Answers the numbers (from 0) of those that do not hold.
local LINES = 1000 -- of a log are kept
local ids, patches, refused, saved, noted = {}, {}, {}, {}, {}
local at = 4
while at <= #ARGV do
  local steps, lines = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  ids[#ids + 1] = ARGV[at]
  patches[#patches + 1] = { ARGV[at + 1], ARGV[at + 2], at + 5, steps, lines }
  at = at + 5 + 2 * (steps + lines)
end

local function slice(first, count)
  local list = {}
  for from = first, first + count - 1 do list[#list + 1] = ARGV[from] end
  return list
end

-- A number that is there is a line that was told before.
local function unlogged(key, first, count)
  local list = {}
  for from = first, first + 2 * count - 1, 2 do
    if call('ZCOUNT', key, ARGV[from], ARGV[from]) == 0 then
      list[#list + 1], list[#list + 2] = ARGV[from], ARGV[from + 1]
    end
  end
  return list
end

for index, state in ipairs(values(P .. 'state', ids)) do
  local id = ids[index]
  local lease, progress, first, steps, lines = unpack(patches[index])
  if state and sub(state, 1, #lease) == lease then
    if progress ~= '' then
      saved[#saved + 1] = id
      saved[#saved + 1] = progress
    end
    if steps + lines > 0 then noted[#noted + 1] = id end
    each('HSET', P .. 'steps:' .. id, slice(first, 2 * steps))
    if lines > 0 then
      each('ZADD', P .. 'log:' .. id, unlogged(P .. 'log:' .. id, first + 2 * steps, lines))
      call('ZREMRANGEBYRANK', P .. 'log:' .. id, 0, -1 - LINES)
    end
  else
    refused[#refused + 1] = index - 1
  end
end
each('HSET', P .. 'progress', saved)
each('SADD', P .. 'noted', noted)
return refused
