-- dependents: the tasks that wait for another. They are freed when it completes, and blocked when it failed or is gone.
-- uses  task ready event
-- KEYS  waits stuck freeing done
--
-- Defines settle(n): brings at most STEP dependents of n in line with what n is now; the sweep does the rest. Each
-- dependent stands in waits:n, or in stuck:n while n will not complete by itself; its `waiting` counts both, its
-- `blocked` the latter.
local STEP = 100
local function fate(n)
  local dependency = load_task(n)
  if redis.call('GETBIT', k_done, n) == 1 then return 'completed' end
  return dependency and dependency.status or 'gone'
end

local function change(t, n, waiting, blocked)
  t.waiting, t.blocked = t.waiting + waiting, t.blocked + blocked
  if is_ready(t) then
    t.ready_ms = now_ms
    add_ready(t)
  end
  store_task(t)
  local told = '{' .. moving(t) .. ',"by":"t-' .. n .. '","reason":"' .. fate(n) .. '"}'
  emit(blocked > 0 and 'task.blocked' or is_ready(t) and 'task.unblocked' or 'task.awaited', 't-' .. t.n, told)
end

local function move(n, from, to, waiting, blocked)
  local members = redis.call('SPOP', from, STEP)
  for _, m in ipairs(members) do
    local t = load_task(m)
    if t and to then redis.call('SADD', to, m) end
    if t then change(t, n, waiting, blocked) end
  end
  return #members == STEP
end

local function settle(n)
  local is, more = fate(n), nil
  if is == 'completed' then
    more = move(n, k_waits(n), nil, -1, 0)
    more = move(n, k_stuck(n), nil, -1, -1) or more
  elseif is == 'failed' or is == 'gone' then more = move(n, k_waits(n), k_stuck(n), 0, 1)
  else more = move(n, k_stuck(n), k_waits(n), 0, -1) end
  redis.call(more and 'SADD' or 'SREM', k_freeing, n)
end
