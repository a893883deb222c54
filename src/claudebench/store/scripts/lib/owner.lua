-- owner: who holds a task. The epoch grows by one each time that changes.
-- uses  task ready event
-- KEYS  held own reserved lease dead
--
-- Defines own_task(t, i), let_go(t), free_task(t), bury(t), return_task(t, why).
local function own_task(t, i)
  t.owner, t.epoch = i, t.epoch + 1
  redis.call('ZADD', k_held(i), rank(t), t.n)
  redis.call('ZADD', k_own(i), rank(t), t.n)
end

local function let_go(t)
  redis.call('ZREM', k_held(t.owner), t.n)
  redis.call('ZREM', k_reserved(t.owner), t.n)
  if t.lease_ms > 0 then redis.call('ZREM', k_lease, t.n) end
  t.lease_ms = 0
end

local function free_task(t)
  let_go(t)
  redis.call('ZREM', k_own(t.owner), t.n)
  t.status, t.owner, t.epoch, t.returned, t.ready_ms = 'pending', '', t.epoch + 1, true, now_ms
  add_ready(t)
  return store_task(t)
end

local function bury(t)
  t.status, t.dead, t.finished_ms = 'failed', true, now_ms
  redis.call('ZADD', k_dead, now_ms, t.n)
end

local function return_task(t, why)
  local former, attempts_left = t.owner, t.status == 'pending' or t.attempts < t.max_attempts
  if attempts_left then free_task(t) else
    let_go(t)
    bury(t)
    store_task(t, 'error', '"' .. why .. ', and no attempt is left"')
  end
  return emit(attempts_left and 'task.returned' or 'task.failed', 't-' .. t.n,
    '{' .. moving(t) .. ',"from":"' .. former .. '","reason":"' .. why .. '"}')
end
