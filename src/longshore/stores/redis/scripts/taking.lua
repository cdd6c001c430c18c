-- uses: basics, counting, restraint
-- Taking jobs out of lines, in their order.

-- The queues that are held back now.
local function paused_queues()
  local paused = {}
  local all = call('HGETALL', P .. 'paused')
  for index = 1, #all, 2 do
    local till = string.match(all[index + 1], '^(%S+)')
    if till == '-' or tonumber(till) > T then paused[all[index]] = true end
  end
  return paused
end

local function fits(patterns, queue)
  for _, pattern in ipairs(patterns) do
    local size = #pattern
    if sub(pattern, size) == '*' then
      if sub(queue, 1, size - 1) == sub(pattern, 1, size - 1) then return true end
    elseif pattern == queue then
      return true
    end
  end
  return false
end

-- Whether a claim has to look at one of these members more closely.
local function is_marked(members)
  return find(table.concat(members), ' ', 1, true) ~= nil
end

-- Whether one entry {score, member} comes before another.
local function is_before(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  return a[2] < b[2]
end

-- The first members of several lines in their common order, as entries {score, member, key}; what
-- was read of each line, and how many were asked for. Of each line `least` are read, and more where
-- these turn out to be among the first `wanted`, as far as these come before `bound`.
local function heads_of(keys, wanted, least, bound)
  local size, heads, more, first = {}, {}, keys, nil
  for _, key in ipairs(keys) do size[key] = least end
  repeat
    for _, key in ipairs(more) do
      heads[key] = call('ZRANGE', P .. key, 0, size[key] - 1, 'WITHSCORES')
    end
    first = {}
    for _, key in ipairs(keys) do
      local read = heads[key]
      for index = 1, #read, 2 do
        local entry = { tonumber(read[index + 1]), read[index], key }
        if not bound or is_before(entry, bound) then first[#first + 1] = entry end
      end
    end
    table.sort(first, is_before)
    local used = {}
    for index = 1, math.min(wanted - 1, #first) do
      local key = first[index][3]
      used[key] = (used[key] or 0) + 1
    end
    more = {}
    for key, jobs in pairs(used) do
      -- All that was read of it is among the first: behind it there may be better ones.
      if jobs == size[key] then
        more[#more + 1] = key
        size[key] = jobs * 4
      end
    end
  until #more == 0
  return first, heads, size
end

-- Take the first of these entries out of their lines. Answers how many of each line, or nothing
-- when one of them is marked: then none was taken out.
local function taken_out(first, wanted, taken)
  local gone, chosen, counts = {}, {}, {}
  for index = 1, math.min(wanted, #first) do chosen[index] = first[index][2] end
  if is_marked(chosen) then
    return nil
  end
  for index, member in ipairs(chosen) do
    local key = first[index][3]
    taken[#taken + 1] = sub(member, 17)
    if not gone[key] then gone[key] = {} end
    gone[key][#gone[key] + 1] = member
  end
  for key, list in pairs(gone) do
    each('ZREM', P .. key, list)
    counts[key] = #list
  end
  return counts
end

-- The first members of several lines in their common order, taken out of them. Answers what was
-- read of each, or nothing when one of them is marked: then none was taken out.
local function merged(keys, wanted, taken)
  local first, heads = heads_of(keys, wanted, math.max(4, math.floor(2 * wanted / #keys)))
  return taken_out(first, wanted, taken) and heads
end

-- The queues of a line that are served now.
local function served(line, paused)
  local queues, patterns, excludes = {}, line[1], line[2]
  for _, queue in ipairs(line[3] and call('SMEMBERS', P .. 'ready') or patterns) do
    if not paused[queue] and fits(patterns, queue) and not fits(excludes, queue) then
      queues[#queues + 1] = queue
    end
  end
  return queues
end

-- From more queues on than these it is remembered which of them come first: for so many microseconds
-- jobs may run ahead of a better one that has arrived, or so many times what the look took, so that
-- looking takes a fifth of the time at most.
local FEW, REMEMBERED, WORTH = 64, 50000, 4

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
  local from, till = string.match(call('GET', times) or '', '^(%S+) (%S+)$')
  local remembered = from and tonumber(from) <= T and T < tonumber(till)
  local queues = not remembered and served(line, paused)
  if queues and #queues <= FEW then
    return queues
  end
  -- It is nothing that a replica or a log has to know: whoever has it not looks.
  local function aside(write, ...)
    local silent = pcall(redis.set_repl, redis.REPL_NONE)
    write(...)
    if silent then redis.set_repl(redis.REPL_ALL) end
  end
  local function look(there)
    local fronts, began = {}, call('TIME')
    for _, queue in ipairs(there) do
      local head = call('ZRANGE', P .. 'line:' .. queue, 0, 0, 'WITHSCORES')
      if #head == 0 then
        call('SREM', P .. 'ready', queue)
      else
        fronts[#fronts + 1] = head[2]
        fronts[#fronts + 1] = head[1] .. ' ' .. queue
      end
    end
    aside(call, 'DEL', P .. key)
    for first = 1, #fronts, CHUNK do
      aside(call, 'ZADD', P .. key, unpack(fronts, first, math.min(first + CHUNK - 1, #fronts)))
    end
    local ended = call('TIME')
    local took = (ended[1] - began[1]) * 1000000 + ended[2] - began[2]
    local till = T + took + math.max(REMEMBERED, WORTH * took)
    if #there > FEW then
      aside(call, 'SET', times, NOW .. ' ' .. string.format('%.0f', till), 'PX', 10000)
    else
      aside(call, 'DEL', times)
    end
    aside(call, 'PEXPIRE', P .. key, 10000)
  end
  if queues then look(queues) end
  local fronts, first, heads, size, keys
  while true do
    local count, last = wanted, false
    repeat
      fronts = call('ZRANGE', P .. key, 0, count, 'WITHSCORES')
      last = #fronts <= 2 * count
      local bound = nil
      if not last then
        bound = { tonumber(fronts[#fronts]), fronts[#fronts - 1] }
        fronts[#fronts], fronts[#fronts - 1] = nil, nil
      end
      queues, keys = {}, {}
      for index = 1, #fronts, 2 do
        local queue = string.match(fronts[index], ' ([^ ]*)$')
        queues[#queues + 1] = queue
        keys[#keys + 1] = 'line:' .. queue
      end
      local least = math.max(2, math.floor(2 * wanted / math.max(1, #keys)))
      first, heads, size = heads_of(keys, wanted, least, bound)
      count = 2 * count
    until last or #first >= wanted
    if not remembered or #first >= wanted then break end
    -- What has arrived since that look is not known, and may be better than what is left.
    remembered = false
    look(served(line, paused))
  end
  local counts = taken_out(first, wanted, taken)
  if not counts then
    return nil, true
  end
  local old, new = {}, {}
  for index, queue in ipairs(queues) do
    local read, out = heads[keys[index]], counts[keys[index]] or 0
    old[index] = fronts[2 * index - 1]
    if 2 * out < #read then
      new[#new + 1] = read[2 * out + 2]
      new[#new + 1] = read[2 * out + 1] .. ' ' .. queue
    elseif #read == 2 * size[keys[index]] then
      -- More may stand behind it.
      new[#new + 1] = read[#read]
      new[#new + 1] = read[#read - 1] .. ' ' .. queue
    else
      call('SREM', P .. 'ready', queue)
    end
  end
  aside(each, 'ZREM', P .. key, old)
  aside(each, 'ZADD', P .. key, new)
  aside(call, 'PEXPIRE', P .. key, 10000) -- it may have been empty in between
end

-- The first ids of these lines, each {queues or beginnings, excludes, whether to look what exists}.
-- A queue that is found empty is not looked at again until a job comes. Answers the number of the
-- line where it met jobs that have to be looked at more closely, if it did.
local function from_lines(lines, wanted, taken)
  local paused = paused_queues()
  for number, line in ipairs(lines) do
    local left = wanted - #taken
    if left <= 0 then
      return nil
    end
    local queues, marked
    if line[3] and call('SCARD', P .. 'ready') > FEW then
      queues, marked = from_many(line, paused, left, taken)
      if marked then
        return number
      end
    else
      queues = served(line, paused)
    end
    if not queues then
      -- They were many.
    elseif #queues == 1 then
      -- Quicker than ZPOPMIN, which seeks each member anew and tells its score.
      local read, last = call('ZRANGE', P .. 'line:' .. queues[1], 0, left - 1), #taken
      if is_marked(read) then
        return number
      end
      for index = 1, #read do taken[last + index] = sub(read[index], 17) end
      if #read > 0 then call('ZREMRANGEBYRANK', P .. 'line:' .. queues[1], 0, left - 1) end
      if #read < left then call('SREM', P .. 'ready', queues[1]) end
    elseif #queues > 1 then
      local keys = {}
      for index, queue in ipairs(queues) do keys[index] = 'line:' .. queue end
      local heads = merged(keys, left, taken)
      if not heads then
        return number
      end
      for index, key in ipairs(keys) do
        if #heads[key] == 0 then call('SREM', P .. 'ready', queues[index]) end
      end
    end
  end
end

-- A job of a claim that has a state of its own: its number from 0, that state, and its budgets.
local function told_of(others, index, state, budgets)
  local last = #others
  others[last + 1], others[last + 2], others[last + 3] = index - 1, state, budgets or ''
end

-- The state of a job that is claimed not for the first time, or not as it was written.
local function claimed_state(id, state, head)
  local _, _, run, attempted_at, at, flags, sort =
    find(state, '^available (%d+) %S+ %S+ %S+ (%S+) %S+ ()(%S+) (%S+ %S+)')
  local tail, budgets = sub(state, at), nil
  if find(flags, 'b', 1, true) then budgets = call('HGET', P .. 'budgets', id) end
  if find(flags, 'p', 1, true) then
    call('HDEL', P .. 'parked_for', id)
    local others = string.gsub(flags, 'p', '')
    tail = (others == '' and '-' or others)
      .. string.gsub(sub(tail, #flags + 1), '%S+( %S+)$', '-%1')
  end
  attempted_at = attempted_at == '-' and NOW or attempted_at
  return 'running ' .. run + 1 .. head .. attempted_at .. ' - ' .. tail, sort, budgets,
    find(flags, 's', 1, true)
end

-- Hand out the jobs of these ids, which stand in no line any more. The answer of a claim: 1, when
-- the next job is due, the time, ids, lines of words, payloads, and what else is to be told of some
-- of them. `sets` and `deltas` are what has to be written for an exchange beside.
local FRESH = 'available 0 - - - - - '
local function handed_out(process, claim_id, wanted, ids, ears, timed, sets, deltas)
  local due_in, others, lines, payloads = '', {}, {}, {}
  if #ids < wanted then
    if timed then due_in = string.format('%.0f', math.max(0, tonumber(timed) - T)) end
    -- They are told of work from now on: nothing can come in between.
    -- Where nothing was written before, a full server refuses it; then they look by themselves.
    for _, ear in ipairs(ears) do redis.pcall('HSET', P .. 'ears', ear, 'work') end
  end
  if #ids > 0 then
    lines, payloads = values(P .. 'job', ids), values(P .. 'payload', ids)
    local states = values(P .. 'state', ids)
    local head = ' ' .. process .. ' ' .. claim_id .. ' ' .. NOW .. ' '
    -- Neighbours are mostly alike: the beginning, queue, kind and keep_result of the last one as they
    -- stand there, the state that it has now, and how many there were.
    local alike, size, state, sort, begins, many = FRESH, #FRESH, nil, nil, nil, 0
    local last, taken, begun = #sets, {}, {}
    for index = 1, #ids do
      local id, line = ids[index], lines[index]
      local now = state
      local same = many > 0 and sub(line, 1, size) == alike
      if not states[index] and (same or sub(line, 1, 22) == FRESH) then
        if not same then
          if many > 0 then taken[sort] = (taken[sort] or 0) + many end
          local _, behind, flags, words, keep_result = find(line, '^(%S+) (%S+ %S+) (%S+) ', 23)
          alike, size, sort, many = sub(line, 1, behind), behind, words, 0
          state = 'running 1' .. head .. NOW .. ' - ' .. flags .. ' ' .. words .. ' '
            .. keep_result .. ' 0 0 = = - ='
          begins = find(flags, 's', 1, true)
        end
        now, many = state, many + 1
        if begins then begun[#begun + 1] = id end
      else
        local words, budgets, starts
        now, words, budgets, starts = claimed_state(id, states[index] or line, head)
        if starts then begun[#begun + 1] = id end
        told_of(others, index, now, budgets)
        taken[words] = (taken[words] or 0) + 1
      end
      sets[last + 1], sets[last + 2] = id, now
      last = last + 2
    end
    if many > 0 then taken[sort] = (taken[sort] or 0) + many end
    each('SADD', P .. 'running:' .. process, ids)
    call('HSET', P .. 'process:' .. process, 'claim', claim_id)
    -- Who holds a key until he starts holds it no more.
    if #begun > 0 then restraint().let_go(begun) end
    for words, jobs in pairs(taken) do
      deltas[words .. ' available'] = (deltas[words .. ' available'] or 0) - jobs
      deltas[words .. ' running'] = (deltas[words .. ' running'] or 0) + jobs
    end
  end
  each('HSET', P .. 'state', sets)
  counted(deltas)
  return { 1, due_in, NOW, ids, lines, payloads, others }
end

-- Whether a claim is of the common sort: live, not a repetition, nothing due, nothing expired, no
-- kind paused, no turns and nothing that opens. Answers when the next job is due too.
local function is_simple(process, claim_id, parked_kinds)
  local lease, last = unpack(call('HMGET', P .. 'process:' .. process, 'lease', 'claim'))
  if not lease or tonumber(lease) <= T or #parked_kinds > 0
    or (last and tonumber(claim_id) <= tonumber(last)) then
    return false
  end
  if call('EXISTS', P .. 'kinds', P .. 'fair', P .. 'opens') > 0 then
    return false
  end
  local timed = call('ZRANGE', P .. 'timed', 0, 0, 'WITHSCORES')[2]
  local expires = call('ZRANGE', P .. 'expires', 0, 0, 'WITHSCORES')[2]
  if (timed and tonumber(timed) <= T) or (expires and tonumber(expires) <= T) then
    return false
  end
  return true, timed
end
