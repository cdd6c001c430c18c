-- uses: basics
-- What restrains a job beyond its time and place. Made only where a script meets such a job.
--
--   rules       id -> its rules as JSON
--   holds       unique key -> the id of its holder;  held  id -> until when, and the key
--   slots       `key id` of the jobs that run under a limit
--   starts      key of a rate -> its ledger, `sum to per name ` and then `;part at starts till` for
--               each part of its period with starts, the newest first: when the latest of them
--               was, how many they are, and when they count no more. `sum` is of all that are
--               written there and in `older`, the rule as the last job had it
--   older       key of a rate -> the parts of its ledger before those: a text is read and written as a
--               whole, and a claim needs few of them
--   rates       the keys with a ledger;  started  the same by when to look whether it is over
--   blocked     `key queue rule priority place` of the available jobs that stand in no line
--   blocked_by  id -> the key
--   opens       key -> when a full rate or a paused kind opens again, while it blocks jobs
--   settings    name of a limit -> what a person set, as JSON
--   kinds       paused kind -> until when, and the reason
--   fair        queues with jobs that take turns;  fair:QUEUE  these, `priority value place`
--   turns:QUEUE PRIORITY  value -> the end of its last turn; `*` the virtual time
--
-- In sorted sets all scores are 0 but for times, so that they are in order of their text. There a
-- key stands without spaces, in a way that keeps the order: what is not above `!` is written `!`
-- and a letter.
local TURN, PARTS, BURST, BLOCKED = 1000000, 100, 100000, 1000

-- A whole number as text: Lua would print a large one with an exponent.
local function digits(value)
  return string.format('%.0f', value)
end

local function restraining()
  local function bare(text)
    if not find(text, '[%z\1-!]') then
      return text
    end
    return (string.gsub(text, '[%z\1-!]', function(letter)
      return '!' .. string.char(string.byte(letter) + 34)
    end))
  end

  local function plain(key)
    return (string.gsub(key, '!(.)', function(letter)
      return string.char(string.byte(letter) - 34)
    end))
  end

  -- What most rules look like is taken from their text: reading JSON takes several times as long.
  local ONE_LIMIT = '^({"limits":%[{"name":"([^"\\]*)","value":")([^"\\]*)(","to":(%d+),?(.-)}%]})$'
  local ONE_VALUE = '^{"fair":{"key":"([^"\\]*)"}}$'
  local function one_limit(text)
    local before, name, value, behind, most, per = string.match(text, ONE_LIMIT)
    if not before or (per ~= '' and not find(per, '^"per":%d+$')) then
      return nil
    end
    per = per ~= '' and tonumber(sub(per, 7)) or nil
    return { name = name, value = value, to = tonumber(most), per = per }, before, behind
  end

  local function told_in(text)
    local limit = one_limit(text)
    if limit then
      return { limits = { limit } }
    end
    local key = string.match(text, ONE_VALUE)
    return key and { fair = { key = key } } or cjson.decode(text)
  end

  local known = {}
  local function rules_of(text)
    local rules = known[text]
    if not rules then
      local told = told_in(text)
      rules = { limits = {}, hold = told.hold }
      if told.fair then
        rules.value, rules.step = bare(told.fair.key), told.fair.step or TURN
      end
      for index, limit in ipairs(told.limits or {}) do
        local raw = (limit.per and 'r:' or 'c:') .. limit.name .. ':' .. limit.value
        rules.limits[index] = {
          raw = raw, key = bare(raw), name = limit.name, to = limit.to, per = limit.per,
        }
      end
      known[text] = rules
    end
    return rules
  end

  -- The limits of a job, put behind those that are listed: what each says, in a table that others
  -- may share, and its key. Neighbours mostly differ in nothing but the value, which then stands
  -- between the same as in the text before.
  local before, behind, head, same
  local function list_limits(text, limits, keys)
    local last = #keys
    if same and sub(text, 1, #before) == before and sub(text, -#behind) == behind then
      local value = sub(text, #before + 1, -#behind - 1)
      if not find(value, '[%z\1-"\\]') then
        limits[last + 1], keys[last + 1] = same, head .. value
        return
      end
    end
    local limit, first, rest = one_limit(text)
    if limit then
      before, behind, same = first, rest, limit
      head = bare((limit.per and 'r:' or 'c:') .. limit.name .. ':')
      limits[last + 1], keys[last + 1] = limit, head .. bare(limit.value)
      return
    end
    for index, one in ipairs(rules_of(text).limits) do
      limits[last + index], keys[last + index] = one, one.key
    end
  end

  local function rank(priority)
    return string.format('%05d', priority + 32768)
  end

  local set = {}
  local function setting(name)
    if set[name] == nil then
      local text = call('HGET', P .. 'settings', name)
      set[name] = text and cjson.decode(text) or false
    end
    return set[name]
  end

  -- How many a limit lets through, and in which time, as it holds now.
  local function effective(limit)
    if not limit.most then
      local now = setting(limit.name)
      limit.most, limit.span = limit.to, limit.per
      if now then
        local per = now.per
        if per == nil or per == cjson.null then per = limit.per end
        limit.most, limit.span = now.to, limit.per and per
      end
    end
    return limit.most, limit.span
  end

  -- The starts of a rate that are in the window, oldest first, and how many these are. Nothing but
  -- a part looks like one: a name stands without spaces.
  local function ledger(key, per)
    local text, entries, sum = call('HGET', P .. 'starts', key) or '', {}, 0
    text = text .. (call('HGET', P .. 'older', key) or '')
    for at, starts in string.gmatch(text, ';%d+ (%d+) (%d+)') do
      if at + per > T then
        entries[#entries + 1] = { tonumber(at), tonumber(starts) }
        sum = sum + starts
      end
    end
    table.sort(entries, function(a, b) return a[1] < b[1] end)
    return entries, sum
  end

  local function opens_at(entries, per)
    if #entries == 0 then
      return nil
    end
    local close = math.max(1, math.floor(per / PARTS), math.min(math.floor(per / 10), BURST))
    local together, last = entries[1][1] + close, nil
    for _, entry in ipairs(entries) do
      if entry[1] <= together then last = entry[1] end
    end
    return last + per
  end

  local function used(key)
    return call('ZLEXCOUNT', P .. 'slots', '[' .. key .. ' ', '(' .. key .. '!')
  end

  -- Where jobs are blocked by a key: in each queue, for each limit of that key as jobs declare it.
  -- One that may not start yet hides none that may.
  local function rule_word(limit)
    return not limit and '-' or limit.per and digits(limit.to) .. '/' .. digits(limit.per)
      or digits(limit.to)
  end

  -- Whether any job is blocked by a key; its entry.
  local function first_blocked(key)
    return call('ZRANGEBYLEX', P .. 'blocked', '[' .. key .. ' ', '(' .. key .. '!', 'LIMIT', 0, 1)[1]
  end

  local function spots_of(key)
    local spots, from = {}, '[' .. key .. ' '
    while true do
      local entry = call('ZRANGEBYLEX', P .. 'blocked', from, '(' .. key .. '!', 'LIMIT', 0, 1)[1]
      if not entry then
        return spots
      end
      local head, queue, place = string.match(entry, '^(%S+ (%S+) %S+) %S+ (%S+)')
      spots[#spots + 1] = { head = head, queue = queue, id = sub(place, 17) }
      from = '[' .. head .. '!'
    end
  end

  -- The limit of this key as a job has it.
  local function limit_in(id, key)
    local text = id and call('HGET', P .. 'rules', id)
    for _, limit in ipairs(text and rules_of(text).limits or {}) do
      if limit.key == key then return limit end
    end
  end

  -- Until when the kind of a job is paused: nothing if it is not, `-` without an end.
  local function paused_till(id)
    local line = call('HGET', P .. 'job', id)
    local kind = string.match(line, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+)')
    local pause = call('HGET', P .. 'kinds', kind)
    local till = pause and string.match(pause, '^(%S+)')
    return till and (till == '-' or tonumber(till) > T) and till or nil
  end

  local function is_kind(key)
    return sub(key, 1, 2) == 'k:'
  end

  -- How many more jobs may start under a limit now.
  local function room_of(limit)
    local most, per = effective(limit)
    if not per then
      return most - used(limit.key)
    end
    local _, starts = ledger(limit.key, per)
    return most - starts
  end

  -- A key that blocks nobody any more opens for nobody.
  local function is_over(key)
    if first_blocked(key) then
      return false
    end
    call('ZREM', P .. 'opens', key)
    return true
  end

  -- Note when a key opens for those that it blocks; how many may go on without waiting for that.
  local function reopen(key, left)
    local time = left and NOW
    for _, spot in ipairs(time and {} or spots_of(key)) do
      if is_kind(key) then
        time = paused_till(spot.id) or NOW
        break
      end
      local _, per = effective(limit_in(spot.id, key))
      local opens = per and opens_at(ledger(key, per), per)
      if opens and (not time or opens < time) then time = opens end
    end
    if time and time ~= '-' then
      call('ZADD', P .. 'opens', type(time) == 'number' and digits(time) or time, key)
    else
      call('ZREM', P .. 'opens', key)
    end
  end

  -- Put entries of `blocked` that begin so back into the lines of their queue.
  local function unblock(spot, entries)
    local at, ids, plain, fair = #spot.head + 2, {}, {}, {}
    for index, entry in ipairs(entries) do
      ids[index] = string.match(entry, '^%S+', at + 22)
      local priority, place = sub(entry, at, at + 4), sub(entry, at + 6)
      if find(place, ' f', 17, true) then
        local text = call('HGET', P .. 'rules', ids[index])
        fair[#fair + 1] = 0
        fair[#fair + 1] = priority .. ' ' .. rules_of(text).value .. ' ' .. place
      else
        plain[#plain + 1] = digits(priority - 32768)
        plain[#plain + 1] = place
      end
    end
    each('ZREM', P .. 'blocked', entries)
    each('HDEL', P .. 'blocked_by', ids)
    each('ZADD', P .. 'line:' .. spot.queue, plain)
    call('EXPIRE', P .. 'calm', 0) -- see fronts.lua
    each('ZADD', P .. 'fair:' .. spot.queue, fair)
    if #fair > 0 then call('SADD', P .. 'fair', spot.queue) end
    call('SADD', P .. 'ready', spot.queue)
  end

  -- The first jobs that a key blocks go back into their lines, of each place so many, as far as
  -- there is room. Answers how many did, and whether there was room for more than may go at once.
  local function admit(key, most)
    local admitted, more, spots = 0, false, spots_of(key)
    for _, spot in ipairs(spots) do
      local room
      if is_kind(key) then
        room = paused_till(spot.id) and 0 or BLOCKED
      else
        room = room_of(limit_in(spot.id, key))
      end
      if room > 0 and most > 0 then
        local entries = call('ZRANGEBYLEX', P .. 'blocked', '[' .. spot.head .. ' ',
          '(' .. spot.head .. '!', 'LIMIT', 0, math.min(most, room, BLOCKED))
        unblock(spot, entries)
        admitted = admitted + #entries
        more = more or #entries == BLOCKED
      end
    end
    if (admitted > 0 or #spots == 0) and is_over(key) then more = false end
    return admitted, more
  end

  -- Admit so many of each key; how many were. Of a key with 0 only look whether it still blocks.
  local function admit_all(most)
    if not next(most) then
      return 0
    elseif call('EXISTS', P .. 'blocked') == 0 then
      if call('EXISTS', P .. 'opens') == 1 then
        for key in pairs(most) do call('ZREM', P .. 'opens', key) end
      end
      return 0
    end
    local admitted = 0
    for key, jobs in pairs(most) do
      if jobs > 0 then
        admitted = admitted + admit(key, jobs)
      else
        is_over(key)
      end
    end
    return admitted
  end

  -- The runs of these jobs are over: their slots are free for others.
  local function give_slots(ids)
    local limits, keys, gone, free, last = {}, {}, {}, {}, 0
    for index, text in ipairs(values(P .. 'rules', ids)) do
      if text then list_limits(text, limits, keys) end
      for at = last + 1, #keys do
        if not limits[at].per then
          gone[#gone + 1] = keys[at] .. ' ' .. ids[index]
          free[keys[at]] = (free[keys[at]] or 0) + 1
        end
      end
      last = #keys
    end
    each('ZREM', P .. 'slots', gone)
    return admit_all(free)
  end

  -- These jobs hold their unique keys no more.
  local function let_go(ids)
    local keys, mine = {}, {}
    for index, text in ipairs(values(P .. 'held', ids)) do
      if text then
        keys[#keys + 1] = sub(text, find(text, ' ', 1, true) + 1)
        mine[#mine + 1] = ids[index]
      end
    end
    each('HDEL', P .. 'holds', keys)
    each('HDEL', P .. 'held', mine)
  end

  return {
    bare = bare, plain = plain, rules_of = rules_of, rank = rank, rule_word = rule_word,
    first_blocked = first_blocked, limit_in = limit_in, spots_of = spots_of, reopen = reopen,
    admit = admit, admit_all = admit_all, give_slots = give_slots, let_go = let_go,
    effective = effective, ledger = ledger, used = used, list_limits = list_limits,
  }
end

local made
local function restraint()
  made = made or restraining()
  return made
end
