-- uses: waking
-- Store jobs, all or none. ARGV: numbers of jobs, lines, timed, expiring and counts; then pairs
-- for ZADD ids, HSET job, HSET payload; for each line its queue, its length, pairs of priority and
-- member; pairs of time and id; pairs of field and number. Made so that nothing but ranges of ARGV
-- is handed on. Answers 1, or what is there under these ids when one is: then nothing was written.
local jobs, lines, timed, expiring, counts =
  tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local function pass(command, key, at, pairs_, option)
  local answer = 0
  for first = at, at + 2 * pairs_ - 1, CHUNK do
    local last = math.min(first + CHUNK, at + 2 * pairs_) - 1
    if option then
      answer = answer + call(command, P .. key, option, unpack(ARGV, first, last))
    else
      call(command, P .. key, unpack(ARGV, first, last))
    end
  end
  return answer
end

-- A line that becomes known is the moment to look whether this is still the same store: a store
-- that was flushed has none.
local at = 9 + 6 * jobs
for _ = 1, lines do
  local queue, length = ARGV[at], tonumber(ARGV[at + 1])
  if call('SADD', P .. 'ready', queue) == 1 and call('HGET', P .. 'schema', 'epoch') ~= ARGV[2] then
    call('SREM', P .. 'ready', queue)
    return { err = 'EMPTIED the keys of this store are gone' }
  end
  at = at + 2 + 2 * length
end
if timed > 0 and call('HGET', P .. 'schema', 'epoch') ~= ARGV[2] then
  return { err = 'EMPTIED the keys of this store are gone' }
end

-- An id that is there is left alone by NX, and noticed by the number of those added.
if pass('ZADD', 'ids', 9, jobs, 'NX') < jobs then
  -- uses: basics
  local ids, fresh = {}, {}
  for index = 1, jobs do ids[index] = ARGV[8 + 2 * index] end
  local work, payloads = values(P .. 'job', ids), values(P .. 'payload', ids)
  for index, id in ipairs(ids) do
    if not work[index] then fresh[#fresh + 1] = id end
  end
  each('ZREM', P .. 'ids', fresh)
  return { work, payloads }
end

pass('HSET', 'job', 9 + 2 * jobs, jobs)
pass('HSET', 'payload', 9 + 4 * jobs, jobs)
at = 9 + 6 * jobs
for _ = 1, lines do
  local length = tonumber(ARGV[at + 1])
  pass('ZADD', 'line:' .. ARGV[at], at + 2, length)
  at = at + 2 + 2 * length
end
pass('ZADD', 'timed', at, timed)
at = at + 2 * timed
pass('ZADD', 'expires', at, expiring)
at = at + 2 * expiring
for field = at, at + 2 * counts - 1, 2 do
  call('HINCRBY', P .. 'count', ARGV[field], ARGV[field + 1])
end
wake(true)
return 1
