-- uses: basics, restraint
-- Whose turn it is, of the values of `fair_by` that wait in one queue and priority.

-- A heap: the first of its items by `less` is at 1.
local function push(heap, item, less)
  local at = #heap + 1
  heap[at] = item
  while at > 1 do
    local above = math.floor(at / 2)
    if not less(heap[at], heap[above]) then break end
    heap[at], heap[above] = heap[above], heap[at]
    at = above
  end
end

local function pop(heap, less)
  local first, size = heap[1], #heap
  heap[1] = heap[size]
  heap[size] = nil
  size = size - 1
  local at = 1
  while true do
    local least = at
    for below = 2 * at, math.min(2 * at + 1, size) do
      if less(heap[below], heap[least]) then least = below end
    end
    if least == at then break end
    heap[at], heap[least] = heap[least], heap[at]
    at = least
  end
  return first
end

local function by_place(a, b)
  return a.head.member < b.head.member
end

local function by_end(a, b)
  if a.finish ~= b.finish then return a.finish < b.finish end
  return a.head.member < b.head.member
end

local function by_order(a, b)
  if a.head.priority ~= b.head.priority then return a.head.priority < b.head.priority end
  return a.head.member < b.head.member
end

local function row_of(member, priority)
  return { id = string.match(member, '^%S+', 17), member = member, priority = priority }
end

-- Turns of one queue and priority: the first job of each value, and where its last turn ended.
local function turns_of(queue, keeper)
  local first = call('ZRANGE', P .. 'fair:' .. queue, 0, 0)[1]
  if not first then
    return nil
  end
  local priority = sub(first, 1, 5)
  local turns = {
    queue = queue, rank = priority, priority = priority - 32768, key = 'turns:' .. queue .. ' '
      .. priority, ends = {}, ready = {}, later = {}, gone = {}, clock = 0,
  }
  local all = call('HGETALL', P .. turns.key)
  for index = 1, #all, 2 do turns.ends[all[index]] = tonumber(all[index + 1]) end
  turns.clock, turns.ends['*'] = turns.ends['*'] or 0, nil
  local firsts = {}
  while first do
    local value, place = string.match(first, '^%S+ (%S*) (.*)$')
    local row = row_of(place, turns.priority)
    firsts[#firsts + 1] = row
    row.value = { name = value, rows = {}, at = 1, used = 0, head = row }
    first = call('ZRANGEBYLEX', P .. 'fair:' .. queue, '[' .. priority .. ' ' .. value .. '!',
      '(' .. priority .. '!', 'LIMIT', 0, 1)[1]
  end
  keeper.look(firsts)
  for _, row in ipairs(firsts) do
    row.value.finish = turns.ends[row.value.name] or 0
    push(turns.later, row.value, by_end)
  end
  return turns
end

local function next_value(turns)
  while turns.later[1] and turns.later[1].finish <= turns.clock do
    push(turns.ready, pop(turns.later, by_end), by_place)
  end
  return turns.ready[1] or turns.later[1]
end

local function take_turn(turns, value, step)
  turns.clock = math.max(turns.clock, turns.ends[value] or 0)
  turns.ends[value] = turns.clock + step
  turns.used = true
end

-- The first row of a value has left its line.
local function step_on(turns, value, keeper)
  if turns.ready[1] == value then
    pop(turns.ready, by_place)
  else
    pop(turns.later, by_end)
  end
  local head = turns.rank .. ' ' .. value.name
  turns.gone[#turns.gone + 1] = head .. ' ' .. value.head.member
  value.used, value.at = value.used + 1, value.at + 1
  if value.at > #value.rows then
    local read = call('ZRANGEBYLEX', P .. 'fair:' .. turns.queue, '[' .. head .. ' ',
      '(' .. head .. '!', 'LIMIT', value.used, 8)
    value.rows, value.at = {}, 1
    for index, entry in ipairs(read) do
      value.rows[index] = row_of(sub(entry, #head + 2), turns.priority)
      value.rows[index].value = value
    end
    keeper.look(value.rows)
  end
  value.head = value.rows[value.at]
  if value.head then
    value.finish = turns.ends[value.name] or 0
    push(turns.later, value, by_end)
  end
end

local function close_turns(turns)
  each('ZREM', P .. 'fair:' .. turns.queue, turns.gone)
  turns.gone = {}
  if turns.used then
    local sets, over = { '*', digits(turns.clock) }, {}
    for value, finish in pairs(turns.ends) do
      if finish > turns.clock then
        sets[#sets + 1], sets[#sets + 2] = value, digits(finish)
      else
        over[#over + 1] = value
      end
    end
    each('HSET', P .. turns.key, sets)
    each('HDEL', P .. turns.key, over)
    turns.used = false
  end
end
