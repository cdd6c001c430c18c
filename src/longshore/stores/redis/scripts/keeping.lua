-- uses: time
-- For how long a job stays that ends now, microseconds as text, 'ever', or false if not at all.
local KEPT = {}
KEPT.succeeded, KEPT.cancelled, KEPT.dead = string.match(ARGV[3], '^(%S+) (%S+) (%S+)$')
local known_times = {}
local function kept_for(state, keep_result)
  local key = state .. keep_result
  local known = known_times[key]
  if known == nil then
    local kept = KEPT[state]
    if kept == '-' or keep_result == '-' then
      known = 'ever'
    else
      local time = math.max(tonumber(kept), tonumber(keep_result))
      known = time > 0 and string.format('%.0f', time)
    end
    known_times[key] = known
  end
  return known
end

-- Until when: a score, 'ever', or false.
local function kept_until(state, keep_result)
  local time = kept_for(state, keep_result)
  return time and tonumber(time) and string.format('%.0f', T + time) or time
end
