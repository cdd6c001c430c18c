-- Tell those who wait: a word in the list of each. Only a hint, and only where somebody waits; he
-- is told once, until he lies down again. Those who wait for `work` alone hear of nothing else.
local function wake(work)
  local ears = call('HGETALL', P .. 'ears')
  for index = 1, #ears, 2 do
    if work or ears[index + 1] ~= 'work' then
      call('HDEL', P .. 'ears', ears[index])
      call('RPUSH', P .. 'wake:' .. ears[index], '1')
      call('EXPIRE', P .. 'wake:' .. ears[index], 60)
    end
  end
end
