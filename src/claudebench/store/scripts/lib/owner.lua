-- owner: who holds a task. The epoch grows by one each time that changes.
-- uses  task ready event dependents
-- KEYS  held own reserved lease dead done finished
--
-- Defines own_task(t, i), let_go(t), free_task(t), finish(t, status, field, value), bury(t), return_task(t, why).
local function own_task(t, i)
  t.owner, t.epoch = i, t.epoch + 1
  redis.call('ZADD', k_held(i), rank(t), t.n)
  redis.call('ZADD', k_own(i), t.n, t.n)
end

local function let_go(t)
  if t.owner ~= '' then
    redis.call('ZREM', k_held(t.owner), t.n)
    redis.call('ZREM', k_reserved(t.owner), t.n)
  end
  if t.lease_ms > 0 then redis.call('ZREM', k_lease, t.n) end
  t.lease_ms = 0
end

local function free_task(t)
  let_go(t)
  if t.owner ~= '' then redis.call('ZREM', k_own(t.owner), t.n) end
  t.status, t.owner, t.epoch, t.returned, t.ready_ms = 'pending', '', t.epoch + 1, true, now_ms
  add_ready(t)
  return store_task(t)
end

local function finish(t, status, field, value)
  remove_ready(t)
  let_go(t)
  t.status, t.finished_ms = status, now_ms
  redis.call('ZADD', k_finished, now_ms, t.n)
  if t.dead then redis.call('ZADD', k_dead, now_ms, t.n) end
  if status == 'completed' then redis.call('SETBIT', k_done, t.n, 1) end
  store_task(t, field, value)
  settle(t.n)
end

local function bury(t, error)
  t.dead = true
  finish(t, 'failed', 'error', error)
end

local function return_task(t, why)
  local former, attempts_left = t.owner, t.status == 'pending' or t.attempts < t.max_attempts
  local error = '"' .. why .. ', and no attempt is left"'
  if attempts_left then free_task(t) else bury(t, error) end
  return emit(attempts_left and 'task.returned' or 'task.failed', 't-' .. t.n,
    '{' .. moving(t) .. ',"from":"' .. former .. '","reason":"' .. why .. '"' .. (attempts_left and '}' or ',"error":' .. error .. '}'))
end
