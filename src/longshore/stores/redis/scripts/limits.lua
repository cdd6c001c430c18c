-- uses: more, restraint
-- Limit keys as people read them. ARGV: how many, whether these are asked for, keys. Answers what
-- is set for names, which of these have no key, and of each key: it, the name, how many it lets through and in which time, how
-- many it has let through, how many jobs it blocks, who runs under it, when it opens.
local to, most, asked = restraint(), tonumber(ARGV[4]), ARGV[5] == '1'
local keys, seen, answer = {}, {}, {}

local function note(key)
  if not seen[key] then
    seen[key] = true
    keys[#keys + 1] = key
  end
end

-- The first keys that entries of a sorted set begin with.
local function walk(zset)
  local from, left = '-', most
  while left > 0 do
    local entry = call('ZRANGEBYLEX', P .. zset, from, '+', 'LIMIT', 0, 1)[1]
    if not entry then break end
    local key = string.match(entry, '^%S+')
    if sub(key, 1, 2) ~= 'k:' then
      note(key)
      left = left - 1
      from = '[' .. key .. '!'
    else
      from = '[k;'
    end
  end
end

if asked then
  for _, key in ipairs(rest(6)) do note(to.bare(key)) end
else
  walk('slots')
  walk('blocked')
  for _, key in ipairs(call('ZRANGEBYLEX', P .. 'rates', '-', '+', 'LIMIT', 0, most)) do
    note(key)
  end
end
table.sort(keys)

-- The limit as a job has it that waits for it or runs under it, or that ran last.
local function rule_of(key, holder)
  local entry = to.first_blocked(key)
  local id = entry and sub(string.match(entry, '^%S+ %S+ %S+ %S+ (%S+)'), 17)
  local limit = to.limit_in(id or holder, key)
  local rule = not limit and call('HGET', P .. 'starts', key)
  if rule then
    local most, per, name = string.match(rule, '^%d+ (%d+) (%d+) (%S*)')
    limit = { key = key, name = to.plain(name), to = tonumber(most), per = tonumber(per) }
  end
  return limit
end

-- Whether any key of a limit is in use.
local function is_used(name)
  for zset, sorts in pairs({ slots = 'c', blocked = 'cr', rates = 'r' }) do
    for sort in string.gmatch(sorts, '.') do
      local head = to.bare(sort .. ':' .. name .. ':')
      local entry = call('ZRANGEBYLEX', P .. zset, '[' .. head, '+', 'LIMIT', 0, 1)[1]
      if entry and sub(entry, 1, #head) == head then
        return true
      end
    end
  end
  return false
end

for _, key in ipairs(keys) do
  local holders = call('ZRANGEBYLEX', P .. 'slots', '[' .. key .. ' ', '(' .. key .. '!',
    'LIMIT', 0, 10)
  for index, entry in ipairs(holders) do holders[index] = sub(entry, #key + 2) end
  local rule = rule_of(key, holders[1])
  if rule and #answer < most then
    local lets, per = to.effective(rule)
    local used = to.used(key)
    if per then
      local _, starts = to.ledger(key, per)
      used = starts
    end
    local blocked = call('ZLEXCOUNT', P .. 'blocked', '[' .. key .. ' ', '(' .. key .. '!')
    local opens = call('ZSCORE', P .. 'opens', key)
    answer[#answer + 1] = {
      to.plain(key), rule.name, digits(lets), per and digits(per) or '', digits(used),
      digits(blocked), holders, per and opens and digits(tonumber(opens)) or '',
    }
  end
end
local settings, only_set = call('HGETALL', P .. 'settings'), {}
for index = 1, #settings, 2 do
  if not asked and not is_used(settings[index]) then only_set[#only_set + 1] = settings[index] end
end
return { settings, answer, only_set }
