-- How many jobs of each queue, kind and state there are: field and number in turns. ARGV: count
-- only the jobs of these identities, if there are any.
if not ARGV[4] then
  return call('HGETALL', P .. 'count')
end
-- uses: more
local counts, answer = {}, {}
for _, identity in ipairs(rest(4)) do
  local ids = call('ZRANGEBYLEX', P .. 'identities', '[' .. identity .. ' ', '(' .. identity .. '!')
  for index, entry in ipairs(ids) do ids[index] = sub(entry, #identity + 2) end
  local states = values(P .. 'state', ids)
  for index, line in ipairs(values(P .. 'job', ids)) do
    local state, sort =
      string.match(states[index] or line, '^(%S+) %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+ %S+)')
    local key = sort .. ' ' .. state
    counts[key] = (counts[key] or 0) + 1
  end
end
for key, jobs in pairs(counts) do
  answer[#answer + 1], answer[#answer + 2] = key, tostring(jobs)
end
return answer
