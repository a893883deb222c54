-- begin: work on a task starts: by an instance that may take it, or by nobody in particular.
-- uses  owner roles deny refuse
-- KEYS  reserved lease
--
-- Defines may_begin(t, i) -> refusal or nil, and begin(t, i, lease_ms), where i is '' for nobody: then a lease is due.
local function may_begin(t, i)
  local limits = i ~= '' and able(i)
  if t.status ~= 'pending' then return refuse(CONFLICT, 'the task is ' .. t.status, 'status', t.status) end
  if t.waiting > 0 then return refuse(CONFLICT, 'the task waits for others', 'waitsFor', t.waiting) end
  if t.owner ~= '' and t.owner ~= i then return refuse(CONFLICT, 'the task is reserved for ' .. t.owner, 'assignedTo', t.owner) end
  if i == '' then return nil end
  if not limits then return refuse(NOT_FOUND, 'there is no such instance', 'instanceId', i) end
  if limits.offline then return refuse(CONFLICT, 'the instance is offline', 'instanceId', i) end
  if not covers(limits.roles, t.sig) then return refuse(CONFLICT, 'the instance lacks the roles ' .. t.sig) end
  if t.owner == '' and is_denied(t, i) then return refuse(CONFLICT, 'the instance is denied the task for a while') end
  if t.owner == '' and not has_room(i, limits) then
    return refuse(LIMIT, 'the instance is at its capacity', 'reason', 'capacity', 'limit', limits.capacity)
  end
end

local function begin(t, i, lease_ms)
  if t.owner == '' then
    remove_ready(t)
    if i == '' then t.epoch = t.epoch + 1 else own_task(t, i) end
  else redis.call('ZREM', k_reserved(i), t.n) end
  t.status, t.attempts = 'in_progress', t.attempts + 1
  if lease_ms ~= '' then
    t.lease_ms = now_ms + lease_ms
    redis.call('ZADD', k_lease, t.lease_ms, t.n)
  end
end
