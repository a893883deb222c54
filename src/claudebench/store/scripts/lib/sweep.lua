-- sweep: what the dead held goes back, and what a lease no longer covers. Idempotent; bounded by a budget.
-- when  sweep_is_due
-- needs  clock event due
-- uses  owner dependents
-- KEYS  meta alive inst held offline lease freeing
--
-- Nobody is expired for the store's own absence: after a gap of more than SWEEP_GAP_MS, or when time ran backwards, each
-- instance has min(GRACE_MS, its deadAfterMs) to be heard of first, and leases wait GRACE_MS.
local SWEEP_GAP_MS, GRACE_MS, INSTANCES_MAX, TASKS_MAX, OFFLINE_KEPT_MS = 2000, 5000, 10, 100, 86400000
local INSTANCES_CLAMPED_MAX = 1000

local function clamp_deadlines()
  for _, i in ipairs(redis.call('ZREVRANGE', k_alive, 0, INSTANCES_CLAMPED_MAX - 1)) do
    local dead_after = redis.call('HGET', k_inst(i), 'deadAfterMs') or 0
    redis.call('ZADD', k_alive, 'LT', now_ms + dead_after, i)
  end
end

local function declare_dead(i, budget)
  local returned = {}
  for _, n in ipairs(redis.call('ZRANGE', k_held(i), 0, budget - 1)) do
    return_task(load_task(n), 'owner died')
    returned[#returned + 1] = '"t-' .. n .. '"'
  end
  local is_news = redis.call('HSETNX', k_inst(i), 'offline', now_ms) == 1
  if redis.call('EXISTS', k_held(i)) == 0 then
    redis.call('ZREM', k_alive, i)
    redis.call('PEXPIRE', k_inst(i), OFFLINE_KEPT_MS)
  end
  if is_news then
    redis.call('ZADD', k_offline, now_ms, i)
    emit('instance.offline', i, '{"id":"' .. i .. '","returned":[' .. table.concat(returned, ',') .. ']}')
  end
  return #returned
end

if gap_ms > SWEEP_GAP_MS or gap_ms < 0 or now_ms < grace_from then
  grace_from = now_ms
  redis.call('HSET', k_meta, 'graceFrom', now_ms)
end
if gap_ms < 0 then clamp_deadlines() end
redis.call('HSET', k_meta, 'lastSweep', now_ms)
redis.call('ZREMRANGEBYSCORE', k_offline, '-inf', now_ms - OFFLINE_KEPT_MS)
local budget = TASKS_MAX
for _, i in ipairs(redis.call('ZRANGEBYSCORE', k_alive, '-inf', now_ms, 'LIMIT', 0, INSTANCES_MAX)) do
  local patience_ms = math.min(GRACE_MS, tonumber(redis.call('HGET', k_inst(i), 'deadAfterMs') or 0))
  if budget > 0 and now_ms >= grace_from + patience_ms then budget = budget - declare_dead(i, budget) end
end
local leases_max = now_ms >= grace_from + GRACE_MS and math.max(budget, 0) or 0
for _, n in ipairs(redis.call('ZRANGEBYSCORE', k_lease, '-inf', now_ms, 'LIMIT', 0, leases_max)) do
  return_task(load_task(n), 'lease over')
end
local freeing = redis.call('SRANDMEMBER', k_freeing)
if freeing then settle(freeing) end
