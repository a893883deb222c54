-- assign: reserve a free task for one instance; it stays pending until that instance claims it.
-- Assessment: ASSIGN_TASK_WITH_LOAD_BALANCING
--
-- flags  allow-oom
-- uses  presence sweep ready owner roles refuse
-- KEYS  reserved
-- ARGV  given_ms actor meta n instance
-- Returns {position, epoch, now_ms}.
local t, limits = load_task(n), able(instance)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if not limits then return refuse(NOT_FOUND, 'there is no such instance', 'instanceId', instance) end
if limits.offline then return refuse(CONFLICT, 'the instance is offline', 'instanceId', instance) end
if t.owner ~= '' then return refuse(CONFLICT, 'the task is already assigned to ' .. t.owner, 'assignedTo', t.owner) end
if not is_free(t) then return refuse(CONFLICT, 'the task is ' .. t.status, 'status', t.status) end
if t.waiting > 0 then return refuse(CONFLICT, 'the task waits for others', 'waitsFor', t.waiting) end
if not covers(limits.roles, t.sig) then return refuse(CONFLICT, 'the instance lacks the roles ' .. t.sig) end
if not has_room(instance, limits) then
  return refuse(LIMIT, 'the instance is at its capacity', 'reason', 'capacity', 'limit', limits.capacity)
end

remove_ready(t)
own_task(t, instance)
redis.call('ZADD', k_reserved(instance), rank(t), t.n)
store_task(t)
return {emit('task.assigned', 't-' .. t.n, '{' .. moving(t) .. '}'), t.epoch, now_ms}
