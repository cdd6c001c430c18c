-- uses: basics, taking
-- Promote what is due, then take jobs. ARGV: process, number of the claim, wanted, the rest packed.
local wanted, request = tonumber(ARGV[6]), cmsgpack.unpack(ARGV[7])
local simple, timed = is_simple(ARGV[4], ARGV[5], request[2])
if simple then
  local ids = {}
  from_lines(request[1], wanted, ids)
  return handed_out(ARGV[4], ARGV[5], wanted, ids, request[4], timed, {}, {})
end
-- uses: freeing, claiming
return claim(ARGV[4], ARGV[5], wanted, request)
