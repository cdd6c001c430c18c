-- For so many microseconds jobs may run ahead of a better one that has arrived, or so many times what
-- a look took, so that looking takes a fifth of the time at most.
local REMEMBERED, WORTH = 50000, 4

-- It is nothing that a replica or a log has to know: whoever has it not looks.
local function aside(write, ...)
  local silent = pcall(redis.set_repl, redis.REPL_NONE)
  write(...)
  if silent then redis.set_repl(redis.REPL_ALL) end
end

-- Look where the first job of each of these queues stands.
local function look(key, times, there)
  local fronts, began, count = {}, call('TIME'), 0
  for index = 1, #there do
    local queue = there[index]
    local head = call('ZRANGE', P .. 'line:' .. queue, '0', '0', 'WITHSCORES')
    if not head[1] then
      call('SREM', P .. 'ready', queue)
    else
      fronts[count + 1], fronts[count + 2] = head[2], head[1] .. ' ' .. queue
      count = count + 2
    end
  end
  aside(call, 'DEL', P .. key)
  aside(each, 'ZADD', P .. key, fronts)
  local ended = call('TIME')
  local took = (ended[1] - began[1]) * 1000000 + ended[2] - began[2]
  local till = T + took + math.max(REMEMBERED, WORTH * took)
  if #there > FEW then
    -- Its name is its own: whoever saw another calm does not take this one for it. A look is known for
    -- two seconds at most: a program of an older release tells nobody what it stores.
    aside(call, 'SET', P .. 'calm', NOW .. key, 'PX', 10000, 'NX')
    local known = NOW .. ' ' .. string.format('%.0f', till) .. ' ' .. call('GET', P .. 'calm')
    aside(call, 'SET', times, known, 'PX', 2000)
  else
    aside(call, 'DEL', times)
  end
  aside(call, 'PEXPIRE', P .. key, 10000)
end

-- Whether what was seen is known still. Where nothing has arrived since (whatever puts a job into a
-- line lets `calm` expire), it is as it was but for what has gone, however long ago that was.
local function is_known(times)
  local from, till, calm = string.match(call('GET', times) or '', '^(%S+) (%S+) (%S+)$')
  if not from or tonumber(from) > T then
    return false
  end
  local remembered = T < tonumber(till)
  return remembered or call('GET', P .. 'calm') == calm
end

-- The fronts of the first queues, these queues and the keys of their lines, and the front behind all
-- of these as an entry, if there is one.
local function first_fronts(key, count)
  local fronts, queues, keys, bound = call('ZRANGE', P .. key, 0, count), {}, {}, nil
  if #fronts > count then
    local member = fronts[#fronts]
    bound, fronts[#fronts] = { tonumber(call('ZSCORE', P .. key, member)), member }, nil
  end
  for index = 1, #fronts do
    local front = fronts[index]
    local at = find(front, ' ', 17, true)
    at = find(front, ' ', at + 1, true) or at -- it may have a mark
    local queue = sub(front, at + 1)
    queues[index], keys[index] = queue, P .. 'line:' .. queue
  end
  return queues, keys, bound
end

-- Where these queues begin now: they were the first, and so many were taken of each.
local function move_fronts(key, queues, heads, counts, size)
  local new, count = {}, 0
  for index = 1, #queues do
    local queue, read, out = queues[index], heads[index], counts[index] or 0
    -- Behind all that was read more may stand.
    local at = 2 * out < #read and 2 * out + 1 or #read == 2 * size[index] and #read - 1
    if at then
      new[count + 1], new[count + 2] = read[at + 1], read[at] .. ' ' .. queue
      count = count + 2
    else
      call('SREM', P .. 'ready', queue)
    end
  end
  if #queues > 0 then aside(call, 'ZREMRANGEBYRANK', P .. key, 0, #queues - 1) end
  aside(each, 'ZADD', P .. key, new)
  aside(call, 'PEXPIRE', P .. key, 10000) -- it may have been empty in between
end

-- The first members of a line of many queues, taken out. To look at all of them takes longer than
-- to take the jobs. So where the first job of each stands is remembered in a sorted set, whose
-- members are that job's and the queue: from then on jobs only leave, but for what arrives, and what
-- stands before the fronts that are not looked at is the best there is. Answers the queues, and does
-- nothing, where these are few; and whether one of those to take is marked: then none was taken out.
local function from_many(line, paused, wanted, taken)
  local held = {}
  for queue in pairs(paused) do held[#held + 1] = queue end
  table.sort(held)
  local key = 'fronts:' .. redis.sha1hex(cmsgpack.pack({ line[1], line[2], held }))
  local times = P .. key .. ':times'
  local remembered = is_known(times)
  local queues = not remembered and served(line, paused)
  if queues and #queues <= FEW then
    return queues
  end
  if queues then look(key, times, queues) end
  local first, heads, size, keys
  while true do
    local count, bound = wanted, nil
    repeat
      queues, keys, bound = first_fronts(key, count)
      local least = math.max(2, math.floor(2 * wanted / math.max(1, #keys)))
      first, heads, size = heads_of(keys, wanted, least, bound)
      count = 2 * count
    until not bound or #first >= wanted
    if not remembered or #first >= wanted then break end
    -- What has arrived since that look is not known, and may be better than what is left.
    remembered = false
    look(key, times, served(line, paused))
  end
  local counts = taken_out(keys, first, wanted, taken)
  if not counts then
    return nil, true
  end
  move_fronts(key, queues, heads, counts, size)
end
