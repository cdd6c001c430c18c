-- uses: basics, taking
-- Promote what is due, then take jobs. ARGV: process, number of the claim, wanted, the rest packed,
-- slots that are free for jobs with a rate.
local wanted, request, free = tonumber(ARGV[6]), cmsgpack.unpack(ARGV[7]), tonumber(ARGV[8])
local simple, timed = is_simple(ARGV[4], ARGV[5], request[2])
local ids, line = {}, nil
if simple then
  line = from_lines(request[1], wanted, ids)
  if not line then
    return handed_out(ARGV[4], ARGV[5], wanted, ids, request[4], timed, {}, {})
  end
end
-- uses: freeing, claiming
if line then
  return claim_on(ARGV[4], ARGV[5], wanted, request, free, line, ids, {}, {})
end
return claim(ARGV[4], ARGV[5], wanted, request, free)
