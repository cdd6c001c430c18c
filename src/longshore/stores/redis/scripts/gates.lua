-- uses: basics, restraint, plain
-- Kinds that are paused, limits that are full: who may start, and who is blocked.

local STOP = {} -- a verdict: the claim ends before this job
local NONE = {} -- the limits of a job that has none

-- Kinds that are held back now, and until when; nothing if none is.
local function paused_kinds()
  local paused, over = nil, {}
  local all = call('HGETALL', P .. 'kinds')
  for index = 1, #all, 2 do
    local till = string.match(all[index + 1], '^(%S+)')
    if till == '-' or tonumber(till) > T then
      paused = paused or {}
      paused[all[index]] = till
    else
      over[#over + 1] = all[index]
    end
  end
  each('HDEL', P .. 'kinds', over)
  return paused
end

-- Keys that have room again let in as many as that, paused kinds whose time is over all.
local function open_gates()
  local to = restraint()
  for _, key in ipairs(call('ZRANGEBYSCORE', P .. 'opens', '-inf', NOW, 'LIMIT', 0, 100)) do
    local _, more = to.admit(key, BLOCKED)
    to.reopen(key, more)
  end
end

-- Let in jobs of keys that have room, should they have been forgotten.
local function heal(limit)
  local from = '-'
  for _ = 1, limit do
    local entry = call('ZRANGEBYLEX', P .. 'blocked', from, '+', 'LIMIT', 0, 1)[1]
    if not entry then break end
    local key = string.match(entry, '^%S+')
    restraint().admit(key, limit)
    from = '[' .. key .. '!'
  end
end

-- The ledgers of rates as one claim reads them and writes its starts into them.
local function ledgers_of(to)
  local texts, sums, mine, span, rules, exact, within = {}, {}, {}, {}, {}, {}, {}
  local ledgers = { mine = mine, texts = texts }

  -- Now, as a part of a period, and until when that counts.
  local parts = {}
  local function part_of(per)
    local part = parts[per]
    if not part then
      part = {
        head = ';' .. digits(math.floor(T / math.max(1, math.floor(per / PARTS)))) .. ' ',
        till = digits(T + per),
      }
      part.once = part.head .. NOW .. ' 1 ' .. part.till
      parts[per] = part
    end
    return part
  end

  -- Read many at once, each once.
  local asked = {}
  function ledgers.ask(key)
    if texts[key] == nil then
      texts[key] = false
      asked[#asked + 1] = key
    end
  end

  function ledgers.read()
    local keys = asked
    asked = {}
    for index, text in ipairs(values(P .. 'starts', keys)) do
      local key = keys[index]
      texts[key], sums[key] = text, text and tonumber(string.match(text, '^%d+')) or 0
    end
  end

  -- Whether one more may start under it.
  function ledgers.is_open(key, most, per)
    if texts[key] == nil then
      ledgers.ask(key)
      ledgers.read()
    end
    span[key] = span[key] or per
    local starts = mine[key] or 0
    -- What is written in the ledger is more than what the window holds, and quicker to know.
    if sums[key] + starts < most then
      return true
    elseif exact[key] ~= per then
      local _, before = to.ledger(key, per)
      exact[key], within[key] = per, before
    end
    return within[key] + starts < most
  end

  function ledgers.start(key, limit)
    mine[key], rules[key] = (mine[key] or 0) + 1, limit
  end

  -- Parts that count no more make room for others. Each has a start: where there are few of these
  -- there are few parts, and each is at most as long as that.
  local LONG = 50 * 2 * PARTS
  -- Each claim reads the newest parts and writes them anew, and pays for every byte: of more than
  -- about six all are put apart.
  local RECENT = 50 * 6
  local function shortened(written, sum)
    if #written <= LONG then
      return written, sum
    end
    local kept = string.gsub(written, ';%d+ %d+ (%d+) (%d+)', function(starts, till)
      if tonumber(till) > T then
        return nil
      end
      sum = sum - starts
      return ''
    end)
    return kept, sum
  end

  -- The newest parts with those starts that this claim adds, as far as they are not written here.
  local function added(written, part, starts)
    local first = find(written, part.head, 1, true)
    if not first and starts == 1 then
      return part.once, written
    end
    local count, till = starts, part.till
    if first then
      local _, last, before, later = find(written, '^;%d+ %d+ (%d+) (%d+)', first)
      if tonumber(later) > tonumber(till) then till = later end
      count = count + before
      written = sub(written, 1, first - 1) .. sub(written, last + 1)
    end
    return part.head .. NOW .. ' ' .. count .. ' ' .. till, written
  end

  -- Of these ledgers put the newest parts before the others.
  local function put_apart(keys, recent)
    local sets = {}
    for index, text in ipairs(values(P .. 'older', keys)) do
      local key, written = keys[index], nil
      written, sums[key] = shortened(recent[key] .. (text or ''), sums[key])
      recent[key] = ''
      sets[2 * index - 1], sets[2 * index] = key, written
    end
    each('HSET', P .. 'older', sets)
  end

  local function rule_of(limit)
    if not limit.words then
      limit.words = ' ' .. digits(limit.to) .. ' ' .. digits(limit.per) .. ' '
        .. to.bare(limit.name) .. ' '
    end
    return limit.words
  end

  -- Write all that started. A ledger is looked at when its first start leaves the window, so that
  -- later ones need not be noted.
  function ledgers.write()
    local sets, rates, times, recent, long, last = {}, {}, {}, {}, {}, 0
    for key in pairs(mine) do
      local text, rule, part, written = texts[key], rule_of(rules[key]), part_of(span[key]), ''
      if not text then
        rates[#rates + 1], rates[#rates + 2] = 0, key
        times[#times + 1], times[#times + 2] = part.till, key
      else
        local from = find(text, ' ', 1, true)
        if sub(text, from, from + #rule - 1) == rule then
          written = sub(text, from + #rule)
        else
          written = string.match(text, '^%d+ %d+ %d+ %S* (.*)$')
        end
        if #written > RECENT and not find(written, part.head, 1, true) then
          long[#long + 1] = key
        end
      end
      recent[key] = written
    end
    put_apart(long, recent)
    for key, starts in pairs(mine) do
      local newest, others = added(recent[key], part_of(span[key]), starts)
      sets[last + 1] = key
      sets[last + 2] = sums[key] + starts .. rule_of(rules[key]) .. newest .. others
      last = last + 2
    end
    each('HSET', P .. 'starts', sets)
    each('ZADD', P .. 'rates', rates)
    each('ZADD', P .. 'started', times)
  end

  return ledgers
end

-- Limits and paused kinds as one claim finds them and changes them.
local function gatekeeper(free)
  local to, kinds = restraint(), paused_kinds()
  local ledgers = ledgers_of(to)
  local rated, entries, marks, slots, closed, pending = 0, {}, {}, {}, {}, {}
  -- All slots in use; those of a key, who of this claim has the last one and how many have one; the
  -- keys of rates that changed.
  local all, used, holder, mine, touched = nil, {}, {}, {}, {}
  local keeper = { blocked = 0, kinds = kinds }

  -- Read what has to be known of rows before they are judged.
  function keeper.look(rows)
    local ids, marked, told = {}, {}, {}
    for index, row in ipairs(rows) do
      ids[index] = row.id
      if #row.member > 16 + #row.id then
        marked[#marked + 1] = row
        told[#told + 1] = row.id
      end
    end
    if kinds then
      for index, line in ipairs(values(P .. 'job', ids)) do
        rows[index].kind =
          string.match(line, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+)')
      end
    end
    for index, text in ipairs(values(P .. 'rules', told)) do marked[index].told = text end
  end

  local function is_full(limit, key)
    local most, per = to.effective(limit)
    if per then
      return not ledgers.is_open(key, most, per)
    end
    if not used[key] then
      -- No key has more than all have together, which is quicker to know.
      all = all or call('ZCARD', P .. 'slots')
      if all + #slots / 2 < most then
        return false
      end
      used[key] = to.used(key)
    end
    return used[key] + (mine[key] or 0) >= most
  end

  local function start(limit, key, id)
    if limit.per then
      ledgers.start(key, limit)
    elseif holder[key] ~= id then -- a key counts once
      local last = #slots
      holder[key] = id
      mine[key] = (mine[key] or 0) + 1
      slots[last + 1], slots[last + 2] = 0, key .. ' ' .. id
    end
  end

  -- How many of these jobs, that have these rules, may start one after the other; they do.
  function keeper.start(ids, texts)
    local limits, keys, last, rates, jobs = {}, {}, {}, { [0] = rated }, #ids
    for index = 1, jobs do
      local text, from, is_rated = texts[index], #keys + 1, false
      if text then to.list_limits(text, limits, keys) end
      for at = from, #keys do
        if limits[at].per then
          ledgers.ask(keys[at])
          is_rated = true
        end
      end
      if is_rated and rates[index - 1] >= free then
        jobs = index - 1
        break
      end
      last[index], rates[index] = #keys, rates[index - 1] + (is_rated and 1 or 0)
    end
    ledgers.read()
    local first = 1
    for index = 1, jobs do
      for at = first, last[index] do
        if is_full(limits[at], keys[at]) then
          rated = rates[index - 1]
          return index - 1
        end
      end
      for at = first, last[index] do start(limits[at], keys[at], ids[index]) end
      first = last[index] + 1
    end
    rated = rates[jobs]
    return jobs
  end

  -- What a row is blocked by, as it is called and in its order; `STOP`, or nothing.
  function keeper.verdict(row)
    if row.told and not row.rules then row.rules = to.rules_of(row.told) end
    if kinds and kinds[row.kind] then
      local key = 'k:' .. plain_text(row.kind)
      return key, to.bare(key), kinds[row.kind]
    end
    local limits = row.rules and row.rules.limits or NONE
    local has_rate = false
    for _, limit in ipairs(limits) do
      if is_full(limit, limit.key) then
        return limit.raw, limit.key
      end
      has_rate = has_rate or limit.per
    end
    if has_rate then
      if rated >= free then return STOP end
      rated = rated + 1
    end
    return nil
  end

  function keeper.take(row)
    for _, limit in ipairs(row.rules and row.rules.limits or NONE) do
      start(limit, limit.key, row.id)
    end
  end

  -- Block a row; the keys of its other limits that have room for the next one now.
  function keeper.block(row, queue, raw, key, till)
    local rule
    for _, limit in ipairs(row.rules and row.rules.limits or NONE) do
      if limit.key == key then rule = rule or limit end
    end
    entries[#entries + 1] = 0
    entries[#entries + 1] = key .. ' ' .. queue .. ' ' .. to.rule_word(rule) .. ' '
      .. to.rank(row.priority) .. ' ' .. row.member
    if ledgers.texts[key] ~= nil then touched[key] = true end
    marks[#marks + 1] = row.id
    marks[#marks + 1] = raw
    pending[key] = true
    if till then closed[key] = till end
    keeper.blocked = keeper.blocked + 1
    local others
    for _, limit in ipairs(row.rules and row.rules.limits or NONE) do
      if limit.key ~= key and not is_full(limit, limit.key)
        and (pending[limit.key] or to.first_blocked(limit.key)) then
        others = others or {}
        others[limit.key] = 1
      end
    end
    return others
  end

  function keeper.write_blocks()
    each('ZADD', P .. 'blocked', entries)
    each('HSET', P .. 'blocked_by', marks)
    entries, marks, pending = {}, {}, {}
  end

  -- Write all of it; what is blocked by a full rate opens when the next starts leave its window.
  function keeper.close()
    keeper.write_blocks()
    each('ZADD', P .. 'slots', slots)
    ledgers.write()
    for key, till in pairs(closed) do
      if till ~= '-' then call('ZADD', P .. 'opens', till, key) end
    end
    if call('EXISTS', P .. 'blocked') == 0 then
      return
    end
    for key in pairs(ledgers.mine) do touched[key] = true end
    for key in pairs(touched) do to.reopen(key) end
  end

  return keeper
end
