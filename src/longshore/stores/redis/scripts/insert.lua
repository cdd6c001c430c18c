-- uses: waking
-- Store jobs, all or none. ARGV: numbers of jobs, of plain ones, of those of them with a large
-- payload, lines, timed, expiring, counts and identities, and where the others stand (0: there are
-- none); then pairs for ZADD ids of all; of the plain ones pairs for HSET job and, of some, for HSET
-- payload; for each line its queue, its length, pairs of priority and member; pairs of time and id;
-- pairs of field and number; pairs of id and identity; at last the other jobs packed and their
-- payloads. Made so that nothing but ranges of ARGV is handed on. Answers 1; {1, met} where there
-- are others, and {0, met} when one of them is refused; or what is there under these ids when one
-- is. But for the first two nothing was written.
local jobs, plain, large, lines, timed, expiring, counts, names, others = tonumber(ARGV[4]),
  tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]),
  tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])

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
local body = 13 + 2 * (jobs + plain + large)
local at = body
for _ = 1, lines do
  local queue, length = ARGV[at], tonumber(ARGV[at + 1])
  if call('SADD', P .. 'ready', queue) == 1 and call('HGET', P .. 'schema', 'epoch') ~= ARGV[2] then
    call('SREM', P .. 'ready', queue)
    return { err = 'EMPTIED the keys of this store are gone' }
  end
  at = at + 2 + 2 * length
end
if timed + others > 0 and call('HGET', P .. 'schema', 'epoch') ~= ARGV[2] then
  return { err = 'EMPTIED the keys of this store are gone' }
end

-- What others have seen of the lines is not all any more; see fronts.lua. To let it expire takes no
-- right that who only enqueues does not have.
if lines > 0 then call('EXPIRE', P .. 'calm', 0) end

-- An id that is there is left alone by NX, and noticed by the number of those added.
local answer, added = 1, pass('ZADD', 'ids', 13, jobs, 'NX')
if added < jobs or others > 0 then
  -- uses: basics
  local ids = {}
  for index = 1, jobs do ids[index] = ARGV[12 + 2 * index] end
  if added < jobs then
    local fresh, work, payloads = {}, values(P .. 'job', ids), values(P .. 'payload', ids)
    for index, id in ipairs(ids) do
      if not work[index] then fresh[#fresh + 1] = id end
    end
    each('ZREM', P .. 'ids', fresh)
    return { work, payloads }
  end
  -- uses: holding
  local stored, met = hold_all(cmsgpack.unpack(ARGV[others]), others + 1)
  if not stored then
    each('ZREM', P .. 'ids', ids)
    return { 0, met }
  end
  answer = { 1, met }
end

pass('HSET', 'job', 13 + 2 * jobs, plain)
pass('HSET', 'payload', body - 2 * large, large)
at = body
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
at = at + 2 * counts
pass('HSET', 'identity', at, names)
for name = at, at + 2 * names - 1, 2 do
  call('ZADD', P .. 'identities', 0, ARGV[name + 1] .. ' ' .. ARGV[name])
end
wake(true)
return answer
