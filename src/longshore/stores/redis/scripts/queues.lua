-- uses: time
-- The counts, the pauses, and when the first available job of each queue fell due.
local counts, first, seen = call('HGETALL', P .. 'count'), {}, {}
for index = 1, #counts, 2 do
  local queue, state = string.match(counts[index], '^(%S+) %S+ (%S+)$')
  if state == 'available' and not seen[queue] then
    seen[queue] = true
    local head = call('ZRANGE', P .. 'line:' .. queue, 0, 0)
    if head[1] then
      first[#first + 1] = queue
      first[#first + 1] = sub(head[1], 1, 16)
    end
  end
end
return { NOW, counts, call('HGETALL', P .. 'paused'), first }
