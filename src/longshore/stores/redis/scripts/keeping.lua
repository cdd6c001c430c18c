-- uses: time
-- Until when a job stays that ends now: a score, 'ever', or false if not at all.
local KEPT = {}
KEPT.succeeded, KEPT.cancelled, KEPT.dead = string.match(ARGV[3], '^(%S+) (%S+) (%S+)$')
local untils = {}
local function kept_until(state, keep_result)
  local key = state .. keep_result
  local known = untils[key]
  if known == nil then
    local kept = KEPT[state]
    if kept == '-' or keep_result == '-' then
      known = 'ever'
    else
      local time = math.max(tonumber(kept), tonumber(keep_result))
      known = time > 0 and string.format('%.0f', T + time)
    end
    untils[key] = known
  end
  return known
end
