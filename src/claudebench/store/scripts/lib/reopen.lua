-- reopen: a finished task is to be done once more, from the beginning.
-- uses  task ready dependents
-- KEYS  task own dead done finished
--
-- Defines reopen(t, field, value, ...) -> packed row.
local function reopen(t, ...)
  if t.owner ~= '' then redis.call('ZREM', k_own(t.owner), t.n) end
  redis.call('ZREM', k_dead, t.n)
  redis.call('ZREM', k_finished, t.n)
  redis.call('SETBIT', k_done, t.n, 0)
  redis.call('HDEL', k_task(t.n), 'result', 'error')
  t.status, t.owner, t.epoch, t.attempts, t.finished_ms = 'pending', '', t.epoch + 1, 0, 0
  t.dead, t.returned, t.ready_ms, t.deny = false, true, now_ms, {}
  add_ready(t)
  local row = store_task(t, ...)
  settle(t.n)
  return row
end
