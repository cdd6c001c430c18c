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

-- Limits and paused kinds as one claim finds them and changes them.
local function gatekeeper(free)
  local to, kinds = restraint(), paused_kinds()
  local gates, rated, entries, marks, slots, closed, pending =
    {}, 0, {}, {}, {}, {}, {}
  local keeper = { blocked = 0 }

  -- Read what has to be known of rows before they are judged.
  function keeper.look(rows)
    local ids, marked = {}, {}
    for _, row in ipairs(rows) do
      ids[#ids + 1] = row.id
      if #row.member > 16 + #row.id then marked[#marked + 1] = row end
    end
    if kinds then
      for index, line in ipairs(values(P .. 'job', ids)) do
        rows[index].kind =
          string.match(line, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+)')
      end
    end
    if #marked > 0 then
      ids = {}
      for index, row in ipairs(marked) do ids[index] = row.id end
      for index, text in ipairs(values(P .. 'rules', ids)) do marked[index].told = text end
    end
  end

  -- Now, in the ledger of a rate: which part of its period, and until when that counts.
  local parts = {}
  local function part_of(per)
    local part = parts[per]
    if not part then
      part = {
        name = digits(math.floor(T / math.max(1, math.floor(per / PARTS)))),
        till = digits(T + per),
      }
      parts[per] = part
    end
    return part
  end

  local function gate_of(limit, per)
    local gate = gates[limit.key]
    if not gate then
      gate = { key = limit.key }
      if per then
        local sum, there =
          unpack(call('HMGET', P .. 'starts:' .. limit.key, 'sum', part_of(per).name))
        gate.mine, gate.known, gate.sum, gate.there = 0, sum, tonumber(sum or 0), there
      else
        gate.used = to.used(limit.key)
      end
      gate.per = per
      gates[limit.key] = gate
    end
    return gate
  end

  local function is_full(limit)
    local most, per = to.effective(limit)
    local gate = gate_of(limit, per)
    if not per then
      return gate.used >= most
    end
    -- What is written in the ledger is more than what the window holds, and quicker to know.
    if gate.sum + gate.mine < most then
      return false
    elseif gate.exact ~= per then
      local _, starts = to.ledger(limit.key, per)
      gate.exact, gate.starts = per, starts
    end
    return gate.starts + gate.mine >= most
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
      if is_full(limit) then
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
      local gate = gates[limit.key]
      if limit.per then
        gate.mine, gate.limit, gate.touched = gate.mine + 1, limit, true
      elseif gate.last ~= row.id then -- a key counts once
        gate.last = row.id
        gate.used = gate.used + 1
        slots[#slots + 1] = 0
        slots[#slots + 1] = limit.key .. ' ' .. row.id
      end
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
    if gates[key] then gates[key].touched = true end
    marks[#marks + 1] = row.id
    marks[#marks + 1] = raw
    pending[key] = true
    if till then closed[key] = till end
    keeper.blocked = keeper.blocked + 1
    local others
    for _, limit in ipairs(row.rules and row.rules.limits or NONE) do
      if limit.key ~= key and not is_full(limit)
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

  -- Parts of a ledger that count no more make room for others.
  local function forget_parts(gate)
    local key, old = P .. 'starts:' .. gate.key, {}
    local all = call('HGETALL', key)
    for index = 1, #all, 2 do
      local starts, till = string.match(all[index + 1], '^%d+ (%d+) (%d+)$')
      if starts and tonumber(all[index]) and tonumber(till) <= T then
        old[#old + 1] = all[index]
        gate.sum = gate.sum - starts
      end
    end
    each('HDEL', key, old)
  end

  local function write_starts(gate)
    local key, part, there = P .. 'starts:' .. gate.key, part_of(gate.per), gate.there
    -- Each part has a start: a ledger with few of these has few parts.
    if not there and gate.sum > 2 * PARTS and call('HLEN', key) > 2 * PARTS then
      forget_parts(gate)
    end
    local starts, till = 0, part.till
    if there then
      local _, before, later = string.match(there, '^(%d+) (%d+) (%d+)$')
      starts = before
      if tonumber(later) > tonumber(till) then till = later end
    end
    call('HSET', key, part.name, NOW .. ' ' .. starts + gate.mine .. ' ' .. till,
      'sum', gate.sum + gate.mine,
      'rule', digits(gate.limit.to) .. ' ' .. digits(gate.limit.per) .. ' ' .. gate.limit.name)
  end

  -- Write all of it; what is blocked by a full rate opens when the next starts leave its window.
  function keeper.close()
    keeper.write_blocks()
    each('ZADD', P .. 'slots', slots)
    local rates, times = {}, {}
    for key, gate in pairs(gates) do
      if gate.mine and gate.mine > 0 then
        write_starts(gate)
        if not gate.known then rates[#rates + 1], rates[#rates + 2] = 0, key end
        times[#times + 1], times[#times + 2] = part_of(gate.per).till, key
      end
    end
    each('ZADD', P .. 'rates', rates)
    for at = 1, #times, CHUNK do
      call('ZADD', P .. 'started', 'GT', unpack(times, at, math.min(at + CHUNK - 1, #times)))
    end
    for key, till in pairs(closed) do
      if till ~= '-' then call('ZADD', P .. 'opens', till, key) end
    end
    if call('EXISTS', P .. 'blocked') == 0 then
      return
    end
    for key, gate in pairs(gates) do
      if gate.per and gate.touched then to.reopen(key) end
    end
  end

  return keeper
end
