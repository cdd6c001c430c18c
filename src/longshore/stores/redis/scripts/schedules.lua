-- uses: basics
-- Schedules: the time, and in turns a name and its fields. ARGV: names; none: all of them.
local FIELDS = {
  'revision', 'seen', 'watermark', 'job', 'at', 'fired', 'skipped', 'missed', 'firing', 'entry',
}
local names, answer = {}, {}
for at = 4, #ARGV do names[#names + 1] = ARGV[at] end
if #names == 0 then names = call('ZRANGE', P .. 'schedules', 0, -1) end
for _, name in ipairs(names) do
  local fields = call('HMGET', P .. 'schedule:' .. name, unpack(FIELDS))
  if fields[1] then
    answer[#answer + 1] = name
    answer[#answer + 1] = fields
  end
end
return { NOW, answer }
