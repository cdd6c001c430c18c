-- uses: records
-- Jobs by id, the newest or the oldest first, that match every part of a filter. ARGV: direction
-- (`-` newest first), where to go on (empty: at the beginning), how many are wanted, how many to
-- look at, and states, queues and kinds packed. Answers records, and where it stopped if there may
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
  local function lines(key)
    for _, member in ipairs(call('ZRANGE', P .. key, 0, -1)) do ids[#ids + 1] = sub(member, 17) end
  end
  local function all(key)
    for _, id in ipairs(call('ZRANGE', P .. key, 0, -1)) do ids[#ids + 1] = id end
  end
  if states.available then
    for queue in pairs(by_queue) do lines('line:' .. queue) end
    for _, line in ipairs(call('SMEMBERS', P .. 'parked')) do lines('parked:' .. line) end
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
if states and not states.succeeded and not states.waiting then
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

-- Along all ids, some at a time.
repeat
  local size = math.min(budget, math.max(100, wanted))
  local ids
  if newest then
    local from = cursor == '' and '+' or '(' .. cursor
    ids = call('ZREVRANGEBYLEX', P .. 'ids', from, '-', 'LIMIT', 0, size)
  else
    local from = cursor == '' and '-' or '(' .. cursor
    ids = call('ZRANGEBYLEX', P .. 'ids', from, '+', 'LIMIT', 0, size)
  end
  local states = values(P .. 'state', ids)
  for index, line in ipairs(values(P .. 'job', ids)) do
    if #found < wanted and fits(states[index] or line) then found[#found + 1] = ids[index] end
  end
  cursor = #ids == size and ids[size] or ''
  budget = budget - #ids
until #found >= wanted or cursor == '' or budget <= 0
return { records(found), #found < wanted and cursor or '' }
