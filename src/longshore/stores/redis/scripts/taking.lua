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

-- The entries {score, member, number of its line} of what was read of several lines, in their common
-- order, as far as they come before `bound`.
local function in_order(heads, bound)
  local first, count, sorted, last, before = {}, 0, true, nil, nil
  local most, behind = bound and bound[1], bound and bound[2]
  for number = 1, #heads do
    local read = heads[number]
    for index = 1, #read, 2 do
      local member, score = read[index], tonumber(read[index + 1])
      if most and (score > most or (score == most and member >= behind)) then break end
      count = count + 1
      first[count] = { score, member, number }
      -- Of many queues mostly one job each, and the queues are in order: then there is nothing to sort.
      sorted = sorted and (not last or last < score or (last == score and before <= member))
      last, before = score, member
    end
  end
  if not sorted then table.sort(first, is_before) end
  return first
end

-- The first members of several lines in their common order, as entries; what was read of each line,
-- and how many were asked for. Of each line `least` are read, and more where these turn out to be
-- among the first `wanted`, as far as these come before `bound`.
local function heads_of(keys, wanted, least, bound)
  local size, heads, more, first = {}, {}, {}, nil
  for number = 1, #keys do size[number], more[number] = least, number end
  repeat
    for _, number in ipairs(more) do
      heads[number] = call('ZRANGE', keys[number], 0, size[number] - 1, 'WITHSCORES')
    end
    first = in_order(heads, bound)
    local used = {}
    for index = 1, math.min(wanted - 1, #first) do
      local number = first[index][3]
      used[number] = (used[number] or 0) + 1
    end
    more = {}
    for number, jobs in pairs(used) do
      -- All that was read of it is among the first: behind it there may be better ones.
      if jobs == size[number] then
        more[#more + 1] = number
        size[number] = jobs * 4
      end
    end
  until #more == 0
  return first, heads, size
end

-- Take the first of these entries out of their lines. Answers how many of each line, or nothing
-- when one of them is marked: then none was taken out.
local function taken_out(keys, first, wanted, taken)
  local chosen, counts, last = {}, {}, #taken
  wanted = math.min(wanted, #first)
  for index = 1, wanted do chosen[index] = first[index][2] end
  if is_marked(chosen) then
    return nil
  end
  for index = 1, wanted do
    local number = first[index][3]
    taken[last + index] = sub(chosen[index], 17)
    counts[number] = (counts[number] or 0) + 1
  end
  -- They are the first of each line.
  for number, jobs in pairs(counts) do
    call('ZREMRANGEBYRANK', keys[number], '0', jobs == 1 and '0' or jobs - 1)
  end
  return counts
end

-- The first members of several lines in their common order, taken out of them. Answers what was
-- read of each, or nothing when one of them is marked: then none was taken out.
local function merged(keys, wanted, taken)
  local first, heads = heads_of(keys, wanted, math.max(4, math.floor(2 * wanted / #keys)))
  return taken_out(keys, first, wanted, taken) and heads
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

-- From more queues on than these it is remembered which of them come first.
local FEW = 64

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
      -- uses: fronts
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
      for index, queue in ipairs(queues) do keys[index] = P .. 'line:' .. queue end
      local heads = merged(keys, left, taken)
      if not heads then
        return number
      end
      for index = 1, #keys do
        if #heads[index] == 0 then call('SREM', P .. 'ready', queues[index]) end
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

-- The payloads that do not stand behind the words, false for the others; nothing when all do.
local function larger(ids, lines)
  -- To hand over many ids for nothing costs more than to ask.
  if call('EXISTS', P .. 'payload') == 0 then
    return {}
  end
  local payloads, asked, at = {}, {}, {}
  for index = 1, #ids do
    payloads[index] = false
    if not find(lines[index], '\n', 1, true) then
      asked[#asked + 1] = ids[index]
      at[#asked] = index
    end
  end
  if #asked == 0 then
    return {}
  end
  for index, payload in ipairs(values(P .. 'payload', asked)) do payloads[at[index]] = payload end
  return payloads
end

-- Hand out the jobs of these ids, which stand in no line any more. The answer of a claim: 1, when
-- the next job is due, the time, ids, lines of words, payloads that are not behind these, and what
-- else is to be told of some of them. `sets` and `deltas` are what has to be written for an exchange
-- beside.
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
    lines = values(P .. 'job', ids)
    payloads = larger(ids, lines)
    local states = values(P .. 'state', ids)
    local head = ' ' .. process .. ' ' .. claim_id .. ' ' .. NOW .. ' '
    local fresh = 'running 1' .. head .. NOW .. ' - '
    -- Neighbours are mostly alike: the beginning, queue, kind and keep_result of the last one as they
    -- stand there, the state that it has now, and how many there were.
    local alike, state, sort, begins, many = nil, nil, nil, nil, 0
    local last, taken, begun = #sets, {}, {}
    for index = 1, #ids do
      local id, line = ids[index], lines[index]
      local now = state
      local same = many > 0 and find(line, alike, 1, true) == 1
      if not states[index] and (same or find(line, FRESH, 1, true) == 1) then
        if not same then
          if many > 0 then taken[sort] = (taken[sort] or 0) + many end
          local _, behind, flags, words, keep_result = find(line, '^(%S+) (%S+ %S+) (%S+) ', 23)
          alike, sort, many = sub(line, 1, behind), words, 0
          state = fresh .. flags .. ' ' .. words .. ' ' .. keep_result .. ' 0 0 = = - ='
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
