-- uses: basics, taking, restraint, gates, turns
-- The claim that looks at every job: kinds that are paused, limits that are full, turns. What cannot
-- run is blocked: it leaves its line, so that no claim meets it again before there is room.

-- The rows of a line one after the other; those that are not used are passed over by the claim.
local function rows_of(key, size)
  return { key = key, size = size, rows = {}, at = 1, more = true, kept = 0, gone = {} }
end

local function drop(stream)
  each('ZREM', stream.key, stream.gone)
  stream.gone = {}
end

local function line_head(stream, keeper)
  if stream.at > #stream.rows and stream.more then
    drop(stream)
    local last = stream.kept + stream.size - 1
    local read = call('ZRANGE', stream.key, stream.kept, last, 'WITHSCORES')
    local rows = {}
    for index = 1, #read, 2 do rows[#rows + 1] = row_of(read[index], tonumber(read[index + 1])) end
    stream.rows, stream.at, stream.more = rows, 1, #rows == stream.size
    stream.size = math.min(BLOCKED, 4 * stream.size)
    keeper.look(rows)
  end
  return stream.rows[stream.at]
end

-- The row of a queue that is next.
local function next_of(stream, keeper)
  local line = line_head(stream, keeper)
  if line then line.turns = nil end
  if stream.turns and not next_value(stream.turns) then
    close_turns(stream.turns)
    stream.turns = nil
  end
  if stream.fair and not stream.turns then
    stream.turns = turns_of(stream.queue, keeper, stream.wanted)
    stream.fair = stream.turns ~= nil
  end
  local turns = stream.turns
  if not turns or (line and line.priority < turns.priority) then
    return line
  end
  local value = next_value(turns)
  if line and line.priority == turns.priority then
    local mine = math.max(turns.clock, turns.ends[''] or 0)
    local other = math.max(turns.clock, value.finish)
    if mine < other or (mine == other and line.member < value.head.member) then
      line.turns = turns
      return line
    end
  end
  return value.head
end

-- A row leaves its line: taken, or blocked.
local function use(stream, row, taken, keeper)
  if row.value then
    if taken then take_turn(stream.turns, row.value.name, row.rules.step or TURN) end
    step_on(stream.turns, row.value, keeper)
  else
    if taken and row.turns then take_turn(row.turns, '', TURN) end
    stream.gone[#stream.gone + 1] = row.member
    stream.at = stream.at + 1
  end
end

local function close_streams(streams)
  for _, stream in ipairs(streams) do
    drop(stream)
    if stream.turns then close_turns(stream.turns) end
  end
end

-- The first jobs of a queue as far as each of them may start. Answers whether that was all that is
-- wanted or there.
local function stretch(queue, wanted, taken, keeper)
  local left, line, ids, texts, last = wanted - #taken, P .. 'line:' .. queue, {}, {}, #taken
  local members = call('ZRANGE', line, 0, left - 1)
  for index = 1, #members do
    local mark = find(members[index], ' ', 17, true)
    ids[index] = sub(members[index], 17, mark and mark - 1)
    texts[index] = mark ~= nil
  end
  if is_marked(members) then
    for index, text in ipairs(values(P .. 'rules', ids)) do texts[index] = texts[index] and text end
  end
  local jobs = keeper.start(ids, texts)
  for index = 1, jobs do taken[last + index] = ids[index] end
  if jobs > 0 then call('ZREMRANGEBYRANK', line, 0, jobs - 1) end
  if jobs < #members then
    return false
  elseif jobs < left then
    call('SREM', P .. 'ready', queue)
  end
  return true
end

-- The rows of some queues in their common order, until there are as many as wanted. Answers how it
-- ended: at the end, before its end, or because jobs were let in that may come first.
local function walk(queues, wanted, taken, keeper)
  local fair, streams, heap = {}, {}, {}
  for _, queue in ipairs(call('SMEMBERS', P .. 'fair')) do fair[queue] = true end
  local share = #queues == 1 and 1 or 2 / #queues
  local size = math.max(4, math.min(BLOCKED, math.ceil(share * (wanted - #taken))))
  if #queues == 1 and not keeper.kinds and not fair[queues[1]] then
    if stretch(queues[1], wanted, taken, keeper) then
      return 'all'
    end
    size = 4
  end
  for index, queue in ipairs(queues) do
    local stream = rows_of(P .. 'line:' .. queue, size)
    stream.queue, stream.fair, stream.wanted = queue, fair[queue], size
    stream.head = next_of(stream, keeper)
    streams[index] = stream
    if stream.head then push(heap, stream, by_order) end
  end
  local ended = 'all'
  while heap[1] and #taken < wanted do
    local stream = heap[1]
    local row = stream.head
    local raw, key, till = keeper.verdict(row)
    if raw == STOP then
      ended = 'stopped'
      break
    end
    use(stream, row, not raw, keeper)
    local others
    if raw then
      others = keeper.block(row, stream.queue, raw, key, till)
    else
      keeper.take(row)
      taken[#taken + 1] = row.id
    end
    if others then
      close_streams(streams)
      keeper.write_blocks()
      restraint().admit_all(others)
      ended = 'again'
      break
    elseif keeper.blocked >= BLOCKED then
      ended = 'stopped'
      break
    end
    if #heap > 1 then pop(heap, by_order) else heap[1] = nil end
    stream.head = next_of(stream, keeper)
    if stream.head then push(heap, stream, by_order) end
  end
  close_streams(streams)
  for _, stream in ipairs(streams) do
    local empty = fair[stream.queue] and call('EXISTS', P .. 'fair:' .. stream.queue) == 0
    if empty then call('SREM', P .. 'fair', stream.queue) end
    if (empty or not fair[stream.queue]) and not stream.more and stream.at > #stream.rows
      and ended ~= 'again' then
      call('SREM', P .. 'ready', stream.queue)
    end
  end
  return ended
end

-- Take jobs out of lines from one of them on. Answers whether it has blocked as many as it may.
local function ruled_lines(lines, first, wanted, free, taken)
  local keeper, paused = gatekeeper(free), paused_queues()
  for at = first, #lines do
    local ended
    repeat
      local queues = served(lines[at], paused)
      ended = #queues > 0 and walk(queues, wanted, taken, keeper)
    until ended ~= 'again' or #taken >= wanted or keeper.blocked >= BLOCKED
    if ended == 'stopped' or #taken >= wanted or keeper.blocked >= BLOCKED then break end
  end
  keeper.close()
  return keeper.blocked >= BLOCKED
end

-- The same for parked jobs, which stay where they are when they may not run.
local function ruled_parked(keys, wanted, free, taken)
  local keeper, streams, heap = gatekeeper(free), {}, {}
  for index, key in ipairs(keys) do
    streams[index] = rows_of(key, math.max(4, wanted))
    streams[index].head = line_head(streams[index], keeper)
    if streams[index].head then push(heap, streams[index], by_order) end
  end
  while heap[1] and #taken < wanted do
    local stream = heap[1]
    local row = stream.head
    local raw = keeper.verdict(row)
    if raw == STOP then break end
    stream.at = stream.at + 1
    if raw then
      stream.kept = stream.kept + 1
    else
      stream.gone[#stream.gone + 1] = row.member
      keeper.take(row)
      taken[#taken + 1] = row.id
    end
    pop(heap, by_order)
    stream.head = line_head(stream, keeper)
    if stream.head then push(heap, stream, by_order) end
  end
  for _, stream in ipairs(streams) do drop(stream) end
  keeper.close()
end
