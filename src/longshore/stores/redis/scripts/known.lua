-- uses: more
-- Lines of words and payloads of those of these ids that are there, the small ones behind their
-- words. ARGV: ids.
local ids, apart, at = rest(4), {}, {}
local lines, payloads = values(P .. 'job', ids), {}
for index, line in ipairs(lines) do
  payloads[index] = false
  if line and not find(line, '\n', 1, true) then
    apart[#apart + 1] = ids[index]
    at[#at + 1] = index
  end
end
for index, payload in ipairs(values(P .. 'payload', apart)) do payloads[at[index]] = payload end
return { lines, payloads }
