-- uses: basics
-- Where payloads stand: one of a few bytes behind the words of its job; see jobs.lua.

local SMALL = 512 -- bytes; as words.py has it

-- The words of a value of the hash `job`, and the payload if it stands behind them.
local function parted(value)
  local stop = find(value, '\n', 1, true)
  if not stop then
    return value, nil
  end
  return sub(value, 1, stop - 1), sub(value, stop + 1, -2)
end

local function payload_of(id, value)
  local _, payload = parted(value)
  return payload or call('HGET', P .. 'payload', id)
end

-- Note a job's words and payload to be written.
local function lay(id, words, payload)
  if #payload > SMALL then
    put('job', id, words)
    put('payload', id, payload)
  else
    put('job', id, words .. '\n' .. payload .. sub(id, -1))
  end
end

-- Note another payload for a job: it may have been small and be large now, or the other way round.
local function lay_anew(id, payload)
  local words, small = parted(call('HGET', P .. 'job', id))
  if not small and #payload <= SMALL then del('payload', id) end
  lay(id, words, payload)
end
