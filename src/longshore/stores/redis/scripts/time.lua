local NOW = ARGV[1] -- as text: Lua would print a number this large with an exponent
if NOW == '' then
  local time = call('TIME')
  NOW = time[1] .. sub('00000' .. time[2], -6)
end
local T = tonumber(NOW)
