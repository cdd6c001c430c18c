-- uses: holding, more
-- Who holds these unique keys now, of all that a request in parts will want. ARGV: keys.
local keys, answer = rest(4), {}
local holders = holders_of(keys)
for index, key in ipairs(keys) do answer[index] = holders[key] or false end
return answer
