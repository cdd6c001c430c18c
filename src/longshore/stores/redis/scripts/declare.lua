-- uses: more
-- Store schedules that are as they were when they were read. ARGV: schedules packed, each {name,
-- revision that was read (0: it is new), fields, lines of ticks in turns with their times}; and the
-- names of those that are only seen, packed. Answers 1 for each that was stored, 0 for each that has
-- changed.
if emptied() then
  return EMPTIED
end
local answer = {}
for index, one in ipairs(cmsgpack.unpack(ARGV[4])) do
  local name, revision, fields, ticks = one[1], one[2], one[3], one[4]
  local key = P .. 'schedule:' .. name
  answer[index] = 0
  if (call('HGET', key, 'revision') or '0') == revision then
    answer[index] = 1
    call('ZADD', P .. 'schedules', 0, name)
    call('HSET', key, unpack(fields))
    if #ticks > 0 then
      each('ZADD', P .. 'ticks:' .. name, ticks)
      call('ZREMRANGEBYRANK', P .. 'ticks:' .. name, 0, -1001)
    end
  end
end
for _, name in ipairs(cmsgpack.unpack(ARGV[5])) do
  if call('EXISTS', P .. 'schedule:' .. name) == 1 then
    call('HSET', P .. 'schedule:' .. name, 'seen', NOW)
  end
end
return answer
