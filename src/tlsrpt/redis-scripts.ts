/**
 * The scripts of the report store in Redis. Redis runs a script in one step, but does not undo the
 * first half of a script that fails. So each script checks the types of its keys before it writes.
 * Each may run twice with the same arguments, since clients repeat commands whose reply was lost.
 *
 * @module
 */

const TYPES = `
local function is(key, type)
  local found = redis.call('TYPE', key).ok
  return found == type or found == 'none'
end
`

/**
 * KEYS: the writer's last portion, the days, then a hash for each addition. ARGV: the limits, the
 * portion's number or '', its life, then the addition to each hash. Policies and failures beyond
 * the limits are added to `others`. Returns 0, or the number of the invalid hash.
 */
export const ADD = `${TYPES}
local number = tonumber(ARGV[2])
if not is(KEYS[1], 'string') or not is(KEYS[2], 'zset') then return -1 end
if number and (tonumber(redis.call('GET', KEYS[1]) or '') or -1) >= number then return 0 end
for i = 3, #KEYS do
  if not is(KEYS[i], 'hash') then return i - 2 end
end
local limits = cjson.decode(ARGV[1])
local function count(hash, field, added)
  local reply = redis.pcall('HINCRBY', hash, field, added)
  -- A field that is no number
  if type(reply) == 'table' and reply.err then redis.call('HSET', hash, field, added) end
end
local function room(hash, counter, field, limit)
  if redis.call('HEXISTS', hash, field) == 1 then return true end
  if (tonumber(redis.call('HGET', hash, counter) or '') or 0) >= limit then return false end
  count(hash, counter, 1)
  return true
end
for i = 3, #KEYS do
  local hash = KEYS[i]
  local added = cjson.decode(ARGV[i + 1])
  for _, policy in ipairs(added.policies) do
    local shown = policy
    if not room(hash, 'n', 'p:' .. policy.key, limits.maxPolicies) then shown = policy.others end
    redis.call('HSETNX', hash, 'p:' .. shown.key, shown.text)
    count(hash, 's:' .. shown.key, policy.successes)
    for _, failure in ipairs(policy.failures) do
      local start = 'f:' .. shown.key .. ':'
      local field = start .. failure.text
      local others = start .. failure.others
      if field ~= others and not room(hash, 'n:' .. shown.key, field, limits.maxFailures) then
        field = others
      end
      count(hash, field, failure.sessions)
    end
  end
  redis.call('ZADD', KEYS[2], added.number, added.member)
end
if number then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 0
`

/**
 * KEYS: the days, the counts, the waiting, the report. ARGV: member, id, day, domain, sending time.
 * Returns 0 for invalid counts, which are neither changed nor read again.
 */
export const SEAL = `${TYPES}
if redis.call('EXISTS', KEYS[4]) == 1 then return 1 end
local counts = is(KEYS[2], 'hash')
if not counts or redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return counts and 1 or 0
end
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[2])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('RENAME', KEYS[2], KEYS[4])
redis.call('HSET', KEYS[4], 'day', ARGV[3], 'domain', ARGV[4])
return 1
`

/**
 * KEYS: the due, the waiting, the report. ARGV: id, now, until, the claim, whether early, the
 * latest valid time. Returns the report; 1 if another process was faster or it is gone; 0 for an
 * invalid report, which is neither changed nor read again.
 */
export const CLAIM = `${TYPES}
local waiting = redis.call('ZSCORE', KEYS[2], ARGV[1])
local score = waiting or redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then return 1 end
if redis.call('EXISTS', KEYS[3]) == 0 or not is(KEYS[3], 'hash') then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return redis.call('EXISTS', KEYS[3]) == 0 and 1 or 0
end
if redis.call('HGET', KEYS[3], 'claim') ~= ARGV[4] then
  local due = tonumber(score) <= tonumber(ARGV[2])
  local believed = waiting or tonumber(score) <= tonumber(ARGV[6])
  if not due and believed and not (waiting and ARGV[5] == '1') then return 1 end
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
  redis.call('HSET', KEYS[3], 'claim', ARGV[4])
end
return redis.call('HGETALL', KEYS[3])
`

/** KEYS: the due, the report. ARGV: id, the claim, the progress, until. */
export const SAVE = `
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
redis.call('HSET', KEYS[2], 'progress', ARGV[3])
return 1
`

/** KEYS: the due, the waiting, the report. ARGV: id, the claim or '' for any. */
export const REMOVE = `
if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
if ARGV[2] ~= '' and redis.call('HGET', KEYS[3], 'claim') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 1
`

/** KEYS: the set with the id. ARGV: id, when. */
export const HURRY = `
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then return 0 end
if tonumber(score) > tonumber(ARGV[2]) then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
return 1
`
