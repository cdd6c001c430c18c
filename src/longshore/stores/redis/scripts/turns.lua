-- uses: basics, restraint
-- Whose turn it is, of the values of `fair_by` that wait in one queue and priority.
local AHEAD = 8 -- jobs of a value that are read before it is known whether they are wanted

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
  return a.place < b.place
end

local function by_number(a, b)
  return a < b
end

local function by_order(a, b)
  if a.head.priority ~= b.head.priority then return a.head.priority < b.head.priority end
  return a.head.member < b.head.member
end

-- All fields at once, so that the table need not grow.
local function row_of(member, priority, value, entry)
  local mark = find(member, ' ', 17, true)
  return {
    id = sub(member, 17, mark and mark - 1), member = member, priority = priority,
    value = value, entry = entry, told = false, rules = false,
  }
end

-- The next value of those behind this text, with so many of its first entries.
local function read_value(turns, from, jobs)
  local read = call('ZRANGEBYLEX', P .. 'fair:' .. turns.queue, '[' .. from,
    '(' .. turns.rank .. '!', 'LIMIT', 0, jobs)
  if not read[1] then
    return nil
  end
  local head, name = string.match(read[1], '^(%S+ (%S*) )')
  local last = #read
  while sub(read[last], 1, #head) ~= head do
    read[last], last = nil, last - 1
  end
  return { name = name, from = head, entries = read, seen = 0, used = 0 }
end

-- Read so many entries of a value, behind those that are used up.
local function read_entries(turns, value, jobs)
  value.entries = call('ZRANGEBYLEX', P .. 'fair:' .. turns.queue, '[' .. value.from,
    '(' .. sub(value.from, 1, -2) .. '!', 'LIMIT', value.used, jobs)
  value.seen = 0
end

-- Make rows of the next entries that were read, so many.
local function make_rows(turns, value, jobs)
  local rows, entries, behind = {}, value.entries, #value.from + 1
  for index = 1, math.min(jobs, #entries - value.seen) do
    local entry = entries[value.seen + index]
    rows[index] = row_of(sub(entry, behind), turns.priority, value, entry)
  end
  value.rows, value.at, value.seen = rows, 1, value.seen + #rows
  return rows
end

-- A value waits for the round that its last turn leaves it for: for this one, unless that is over
-- by then. Rounds are kept apart, since mostly many begin at the same time.
local function wait_turn(turns, value)
  value.head = value.rows[value.at]
  value.place, value.finish = value.head.member, turns.ends[value.name] or 0
  if value.finish <= turns.till then
    push(turns.odd, value, by_place)
    return
  end
  local begins = math.max(value.finish, turns.clock)
  local round = turns.later[begins]
  if not round then
    round = {}
    turns.later[begins] = round
    push(turns.begins, begins, by_number)
  end
  round[#round + 1] = value
end

-- Turns of one queue and priority: the first jobs of each value, and where its last turn ended.
-- `round` are the values whose turn it is, from `at` on, and `odd` those that came to them later:
-- all whose last turn ended at `till` at the latest. The others are in `later`, by when that is, and
-- `begins` are these times.
local function turns_of(queue, keeper, wanted)
  local first = call('ZRANGE', P .. 'fair:' .. queue, 0, 0)[1]
  if not first then
    return nil
  end
  local priority = sub(first, 1, 5)
  local turns = {
    queue = queue, rank = priority, priority = priority - 32768,
    key = 'turns:' .. queue .. ' ' .. priority, ends = {}, clock = 0, gone = {},
    round = {}, at = 1, odd = {}, till = -1, later = {}, begins = {},
  }
  local all = call('HGETALL', P .. turns.key)
  for index = 1, #all, 2 do turns.ends[all[index]] = tonumber(all[index + 1]) end
  turns.clock, turns.ends['*'] = turns.ends['*'] or 0, nil
  local there, rows, from = {}, {}, priority .. ' '
  repeat
    -- As many as it may get if each that is known by now gets the same, and the next.
    local jobs = math.min(AHEAD, 1 + math.ceil(wanted / (#there + 1)))
    local value = read_value(turns, from, jobs)
    if value then
      there[#there + 1] = value
      from = sub(value.from, 1, -2) .. '!'
    end
  until not value
  for _, value in ipairs(there) do
    for _, row in ipairs(make_rows(turns, value, 1 + math.ceil(wanted / #there))) do
      rows[#rows + 1] = row
    end
  end
  keeper.look(rows)
  for _, value in ipairs(there) do wait_turn(turns, value) end
  return turns
end

-- The value whose turn is next.
local function next_value(turns)
  if not turns.round[turns.at] and not turns.odd[1] then
    local begins = turns.begins[1] and pop(turns.begins, by_number)
    if not begins then
      return nil
    end
    turns.round, turns.at, turns.till = turns.later[begins], 1, begins
    turns.later[begins] = nil
    table.sort(turns.round, by_place)
  end
  local value, odd = turns.round[turns.at], turns.odd[1]
  if odd and (not value or by_place(odd, value)) then
    return odd
  end
  return value
end

local function take_turn(turns, value, step)
  turns.clock = math.max(turns.clock, turns.ends[value] or 0)
  turns.ends[value] = turns.clock + step
  turns.used = true
end

-- The first row of the value whose turn it is has left its line.
local function step_on(turns, value, keeper)
  if turns.odd[1] == value then
    pop(turns.odd, by_place)
  else
    turns.at = turns.at + 1
  end
  turns.gone[#turns.gone + 1] = value.head.entry
  value.used, value.at = value.used + 1, value.at + 1
  if value.at > #value.rows then
    if value.seen == #value.entries then read_entries(turns, value, 2 * #value.entries) end
    keeper.look(make_rows(turns, value, AHEAD))
  end
  if value.rows[1] then wait_turn(turns, value) end
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
