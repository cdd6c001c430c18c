-- uses: more
-- Lines of words and payloads of those of these ids that are there. ARGV: ids.
local ids, there, at = rest(4), {}, {}
local lines, payloads = values(P .. 'job', ids), {}
for index, line in ipairs(lines) do
  payloads[index] = false
  if line then
    there[#there + 1] = ids[index]
    at[#at + 1] = index
  end
end
for index, payload in ipairs(values(P .. 'payload', there)) do payloads[at[index]] = payload end
return { lines, payloads }
