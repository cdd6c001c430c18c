-- uses: basics
-- The script's own values from one on.
local function rest(first)
  local list = {}
  for at = first, #ARGV do list[#list + 1] = ARGV[at] end
  return list
end

-- Whether this is still the store that was opened: its keys may have been flushed meanwhile.
local function emptied()
  return call('HGET', P .. 'schema', 'epoch') ~= ARGV[2]
end
local EMPTIED = { err = 'EMPTIED the keys of this store are gone' }
