-- uses: basics
-- Batches and workflows as they stand, the newest first. ARGV: how many, before which id (empty: all),
-- then the ids asked for, if it is these.
local FIELDS = { 'entry', 'succeeded', 'cancelled', 'dead', 'told', 'finished' }
local ids, answer = {}, {}
if ARGV[4] == '0' then
  for at = 6, #ARGV do ids[#ids + 1] = ARGV[at] end
else
  local till = ARGV[5] == '' and '+' or '(' .. ARGV[5]
  ids = call('ZREVRANGEBYLEX', P .. 'bundles', till, '-', 'LIMIT', 0, ARGV[4])
end
for _, id in ipairs(ids) do
  local fields = call('HMGET', P .. 'bundle:' .. id, unpack(FIELDS))
  if fields[1] then
    fields[#fields + 1] = call('ZCARD', P .. 'live:' .. id)
    answer[#answer + 1] = fields
  end
end
return answer
