-- uses: records
-- Jobs by id, the newest or the oldest first, that match every part of a filter. ARGV: direction
-- (`-` newest first), where to go on (empty: at the beginning), how many are wanted, how many to
-- look at, and states, queues, kinds and identities packed. Answers records, and where it stopped if there may
-- be more.
local newest, cursor = ARGV[4] == '-', ARGV[5]
local wanted, budget = tonumber(ARGV[6]), tonumber(ARGV[7])
local filter = cmsgpack.unpack(ARGV[8])
local FEW = 2000 -- so many jobs of a state are gathered and put in order rather than searched for

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return #list > 0 and set or nil
end
local states, queues, kinds = set_of(filter[1]), set_of(filter[2]), set_of(filter[3])
local identities = filter[4]

local function matches(state, queue, kind)
  return (not states or states[state]) and (not queues or queues[queue])
    and (not kinds or kinds[kind])
end

local function fits(line)
  if not (states or queues or kinds) then return true end
  local state, queue, kind =
    string.match(line, '^(%S+) %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+) (%S+)')
  return matches(state, queue, kind)
end

-- How many jobs match, and in which states there are how many in all.
local function counted()
  local matching, by_state, by_queue = 0, {}, {}
  local all = call('HGETALL', P .. 'count')
  for index = 1, #all, 2 do
    local queue, kind, state = string.match(all[index], '^(%S+) (%S+) (%S+)$')
    local jobs = tonumber(all[index + 1])
    by_state[state] = (by_state[state] or 0) + jobs
    if state == 'available' then by_queue[queue] = true end
    if matches(state, queue, kind) then
      matching = matching + jobs
    end
  end
  return matching, by_state, by_queue
end

-- Every id of jobs in these states, in no order.
local function gathered(by_queue)
  local ids = {}
  local function lines(key, words)
    for _, member in ipairs(call('ZRANGE', P .. key, 0, -1)) do
      ids[#ids + 1] = string.match(member, '^%S+', string.match(member, words .. '()') + 16)
    end
  end
  local function all(key)
    for _, id in ipairs(call('ZRANGE', P .. key, 0, -1)) do ids[#ids + 1] = id end
  end
  if states.available then
    for queue in pairs(by_queue) do
      lines('line:' .. queue, '^')
      lines('fair:' .. queue, '^%S+ %S* ')
    end
    for _, line in ipairs(call('SMEMBERS', P .. 'parked')) do lines('parked:' .. line, '^') end
    lines('blocked', '^%S+ %S+ %S+ %S+ ')
  end
  if states.running then
    for _, process in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
      for _, id in ipairs(call('SMEMBERS', P .. 'running:' .. process)) do ids[#ids + 1] = id end
    end
  end
  if states.scheduled or states.retrying then all('timed') end
  if states.dead then all('ended:dead') end
  if states.cancelled then all('ended:cancelled') end
  return ids
end

local function beyond(id)
  return cursor == '' or (newest and id < cursor) or (not newest and id > cursor)
end

local matching, by_state, by_queue = counted()
if matching == 0 then
  return { records({}), '' }
end
local found = {}
if states and not states.succeeded and not states.waiting and #identities == 0 then
  local few = 0
  for state in pairs(states) do few = few + (by_state[state] or 0) end
  if states.scheduled or states.retrying then
    few = few + (by_state.scheduled or 0) + (by_state.retrying or 0)
  end
  if few <= FEW then
    local ids = gathered(by_queue)
    table.sort(ids, function(a, b)
      if newest then return a > b end
      return a < b
    end)
    local states = values(P .. 'state', ids)
    for index, line in ipairs(values(P .. 'job', ids)) do
      if #found < wanted and line and beyond(ids[index]) and fits(states[index] or line) then
        found[#found + 1] = ids[index]
      end
    end
    return { records(found), '' }
  end
end

-- The next ids of a sorted set that begin so.
local function after_cursor(zset, head, size)
  local from, past = '[' .. head, head == '' and '+' or '(' .. sub(head, 1, -2) .. '!'
  if newest then
    from = cursor == '' and past or '(' .. head .. cursor
    return call('ZREVRANGEBYLEX', P .. zset, from, head == '' and '-' or '[' .. head,
      'LIMIT', 0, size)
  end
  if cursor ~= '' then from = '(' .. head .. cursor end
  return call('ZRANGEBYLEX', P .. zset, from, past, 'LIMIT', 0, size)
end

local function next_ids(size)
  if #identities == 0 then
    return after_cursor('ids', '', size)
  end
  local all, ids = {}, {}
  for _, identity in ipairs(identities) do
    for _, entry in ipairs(after_cursor('identities', identity .. ' ', size)) do
      all[#all + 1] = sub(entry, #identity + 2)
    end
  end
  table.sort(all, function(a, b)
    if newest then return a > b end
    return a < b
  end)
  for index = 1, math.min(size, #all) do ids[index] = all[index] end
  return ids
end

-- Along all ids, or those of the identities, some at a time.
repeat
  local size = math.min(budget, math.max(100, wanted))
  local ids = next_ids(size)
  local states = values(P .. 'state', ids)
  for index, line in ipairs(values(P .. 'job', ids)) do
    if #found < wanted and fits(states[index] or line) then found[#found + 1] = ids[index] end
  end
  cursor = #ids == size and ids[size] or ''
  budget = budget - #ids
until #found >= wanted or cursor == '' or budget <= 0
return { records(found), #found < wanted and cursor or '' }
