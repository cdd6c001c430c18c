-- Add to the numbers of jobs of each queue, kind and state; those that come to nothing go.
local function counted(deltas)
  for key, jobs in pairs(deltas) do
    if jobs ~= 0 and call('HINCRBY', P .. 'count', key, jobs) == 0 then
      call('HDEL', P .. 'count', key)
    end
  end
end
