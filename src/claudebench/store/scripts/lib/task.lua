-- task: a task's moving fields as one table, and the only writer of them.
-- uses  clock
-- KEYS  task ls
--
-- Defines load_task(n) -> t or nil, store_task(t, field, value, ...) -> packed row, list_task(t), unlist(t, status), rank(t),
-- finished(t), is_free(t), is_ready(t), stored(n) -> all fields, moving(t) -> JSON members. `was` is the status at load, false for a new task.
local function load_task(n)
  local row = redis.call('HGET', k_task(n), 'row')
  if not row then return nil end
  local r = cmsgpack.unpack(row)
  return {n = tonumber(n), was = r[1], status = r[1], priority = r[2], owner = r[3], epoch = r[4], attempts = r[5],
    max_attempts = r[6], sig = r[7], lease_ms = r[8], ready_ms = r[9], created_ms = r[10], updated_ms = r[11],
    finished_ms = r[12], returned = r[13], dead = r[14], deny = r[15], waiting = r[16] or 0, blocked = r[17] or 0}
end

local function rank(t) return (100 - t.priority) * 70368744177664 + t.n end
local function finished(t) return t.status == 'completed' or t.status == 'failed' end
local function is_free(t) return t.status == 'pending' and t.owner == '' end
local function is_ready(t) return is_free(t) and t.waiting == 0 end

local function list_task(t)
  redis.call('ZADD', k_ls(t.status, 'created'), t.n, t.n)
  redis.call('ZADD', k_ls(t.status, 'priority'), rank(t), t.n)
  redis.call('ZADD', k_ls(t.status, 'updated'), t.updated_ms, t.n)
end

local function unlist(t, status)
  redis.call('ZREM', k_ls(status, 'created'), t.n)
  redis.call('ZREM', k_ls(status, 'priority'), t.n)
  redis.call('ZREM', k_ls(status, 'updated'), t.n)
end

local function store_task(t, ...)
  t.updated_ms = now_ms
  local row = cmsgpack.pack({t.status, t.priority, t.owner, t.epoch, t.attempts, t.max_attempts, t.sig, t.lease_ms,
    t.ready_ms, t.created_ms, t.updated_ms, t.finished_ms, t.returned, t.dead, t.deny, t.waiting, t.blocked})
  redis.call('HSET', k_task(t.n), 'row', row, ...)
  if t.was == t.status then
    redis.call('ZADD', k_ls(t.status, 'updated'), now_ms, t.n)
    return row
  end
  if t.was then unlist(t, t.was) end
  list_task(t)
  t.was = t.status
  return row
end

local function stored(n)
  return redis.call('HMGET', k_task(n), 'doc', 'row', 'result', 'error', 'text', 'metadata')
end

local function moving(t)
  return string.format('"id":"t-%d","status":"%s","priority":%d,"assignedTo":"%s","epoch":%d,"attempts":%d,' ..
    '"maxAttempts":%d,"leaseMs":%d,"createdMs":%d,"updatedMs":%d,"completedMs":%d,"deadLetter":%s', t.n, t.status,
    t.priority, t.owner, t.epoch, t.attempts, t.max_attempts, t.lease_ms, t.created_ms, t.updated_ms,
    t.finished_ms, t.dead and 'true' or 'false')
    .. (t.waiting > 0 and string.format(',"waitsFor":%d,"blocked":%d', t.waiting, t.blocked) or '')
end
