-- uses: time
-- The counts, the pauses, when the first available job of each queue fell due, and how many jobs
-- each line of parked ones has.
local counts, seen, first, told = call('HGETALL', P .. 'count'), {}, {}, {}
local PAIRS = 10000 -- so many keys and queues of blocked jobs are looked at

local function note(queue, priority, place)
  local other = first[queue]
  if not other or priority < other[1] or (priority == other[1] and place < other[2]) then
    first[queue] = { priority, place }
  end
end

-- The first of each value of those that take turns: only of the least priority, which is the first.
local function look_at_turns(queue)
  local key = P .. 'fair:' .. queue
  local entry = call('ZRANGE', key, 0, 0)[1]
  while entry do
    local rank, value, place = string.match(entry, '^(%S+) (%S*) (.*)$')
    note(queue, rank - 32768, place)
    entry = call('ZRANGEBYLEX', key, '[' .. rank .. ' ' .. value .. '!', '(' .. rank .. '!',
      'LIMIT', 0, 1)[1]
  end
end

local function look_at_blocked()
  local from = '-'
  for _ = 1, PAIRS do
    local entry = call('ZRANGEBYLEX', P .. 'blocked', from, '+', 'LIMIT', 0, 1)[1]
    if not entry then break end
    local head, queue, rank, place = string.match(entry, '^(%S+ (%S+) %S+) (%S+) (.*)$')
    note(queue, rank - 32768, place)
    from = '[' .. head .. '!'
  end
end

for index = 1, #counts, 2 do
  local queue, state = string.match(counts[index], '^(%S+) %S+ (%S+)$')
  if state == 'available' and not seen[queue] then
    seen[queue] = true
    local place, priority = unpack(call('ZRANGE', P .. 'line:' .. queue, 0, 0, 'WITHSCORES'))
    if place then note(queue, tonumber(priority), place) end
    look_at_turns(queue)
  end
end
look_at_blocked()
for queue, head in pairs(first) do
  told[#told + 1] = queue
  told[#told + 1] = sub(head[2], 1, 16)
end
local parked = {}
for _, line in ipairs(call('SMEMBERS', P .. 'parked')) do
  parked[#parked + 1] = line
  parked[#parked + 1] = call('ZCARD', P .. 'parked:' .. line)
end
return { NOW, counts, call('HGETALL', P .. 'paused'), told, parked }
