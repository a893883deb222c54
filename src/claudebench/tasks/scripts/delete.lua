-- delete: remove a task that nobody holds, with every trace but its events.
--
-- flags  allow-oom
-- uses  presence sweep ready dependents refuse event
-- KEYS  task own dead waits stuck
-- ARGV  given_ms actor meta n
-- Returns {position}; a task in somebody's hands is refused with CONFLICT.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if not finished(t) and not is_free(t) then
  local by = t.owner ~= '' and 'by ' .. t.owner or 'by nobody in particular'
  return refuse(CONFLICT, 'the task is held ' .. by .. '; release or unassign it first', 'assignedTo', t.owner)
end

remove_ready(t)
if t.owner ~= '' then redis.call('ZREM', k_own(t.owner), t.n) end
redis.call('ZREM', k_dead, t.n)
unlist(t, t.status)
unlist(t, 'all')
for dependency in string.gmatch(redis.call('HGET', k_task(t.n), 'deps') or '', '%d+') do
  redis.call('SREM', k_waits(dependency), t.n)
  redis.call('SREM', k_stuck(dependency), t.n)
end
redis.call('DEL', k_task(t.n))
settle(t.n)
return {emit('task.deleted', 't-' .. t.n, '{"id":"t-' .. t.n .. '"}')}
