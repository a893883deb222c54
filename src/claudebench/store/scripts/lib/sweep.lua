-- sweep: what the dead held goes back, and what a lease no longer covers. Idempotent; bounded by a budget.
-- uses  presence owner
-- KEYS  meta alive inst held offline lease
--
-- Defines sweep(). Nobody is expired for the store's own absence: after a gap of more than SWEEP_GAP_MS, or when time
-- ran backwards, each instance has min(GRACE_MS, its deadAfterMs) to be heard of first, and leases wait GRACE_MS.
local SWEEP_EVERY_MS, SWEEP_GAP_MS, GRACE_MS, INSTANCES_MAX, TASKS_MAX = 50, 2000, 5000, 10, 100
local OFFLINE_KEPT_MS = 86400000

local function clamp_deadlines()
  for _, i in ipairs(redis.call('ZREVRANGE', k_alive, 0, 999)) do
    local dead_after = redis.call('HGET', k_inst(i), 'deadAfterMs') or 0
    redis.call('ZADD', k_alive, 'LT', now_ms + dead_after, i)
  end
end

local function grace_if_due()
  local meta_row = redis.call('HMGET', k_meta, 'lastSweep', 'graceFrom')
  local last, grace_from = tonumber(meta_row[1] or now_ms), tonumber(meta_row[2] or 0)
  local gap = now_ms - last
  if meta_row[1] and gap >= 0 and gap < SWEEP_EVERY_MS then return nil end
  if gap > SWEEP_GAP_MS or gap < 0 or now_ms < grace_from then
    grace_from = now_ms
    redis.call('HSET', k_meta, 'graceFrom', now_ms)
  end
  if gap < 0 then clamp_deadlines() end
  redis.call('HSET', k_meta, 'lastSweep', now_ms)
  redis.call('ZREMRANGEBYSCORE', k_offline, '-inf', now_ms - OFFLINE_KEPT_MS)
  return grace_from
end

local function declare_dead(i, budget)
  local returned = {}
  for _, n in ipairs(redis.call('ZRANGE', k_held(i), 0, budget - 1)) do
    return_task(load_task(n), 'owner died')
    returned[#returned + 1] = '"t-' .. n .. '"'
  end
  if redis.call('HSETNX', k_inst(i), 'offline', now_ms) == 1 then redis.call('ZADD', k_offline, now_ms, i) end
  if redis.call('EXISTS', k_held(i)) == 0 then
    redis.call('ZREM', k_alive, i)
    redis.call('PEXPIRE', k_inst(i), OFFLINE_KEPT_MS)
  end
  emit('instance.offline', i, '{"id":"' .. i .. '","returned":[' .. table.concat(returned, ',') .. ']}')
  return #returned
end

local function sweep()
  local grace_from = grace_if_due()
  if not grace_from then return end
  local budget = TASKS_MAX
  for _, i in ipairs(redis.call('ZRANGEBYSCORE', k_alive, '-inf', now_ms, 'LIMIT', 0, INSTANCES_MAX)) do
    local dead_after = tonumber(redis.call('HGET', k_inst(i), 'deadAfterMs') or 0)
    if budget > 0 and now_ms >= grace_from + math.min(GRACE_MS, dead_after) then budget = budget - declare_dead(i, budget) end
  end
  if now_ms < grace_from + GRACE_MS then return end
  for _, n in ipairs(redis.call('ZRANGEBYSCORE', k_lease, '-inf', now_ms, 'LIMIT', 0, math.max(budget, 0))) do
    return_task(load_task(n), 'lease over')
  end
end
