-- delete: remove a task that nobody holds, with every trace but its events.
--
-- flags  allow-oom
-- uses  presence sweep ready refuse event
-- KEYS  task ls own dead
-- ARGV  given_ms actor meta n
-- Returns {position}; a task in somebody's hands is refused with CONFLICT.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if t.owner ~= '' and not finished(t) then
  return refuse(CONFLICT, 'the task belongs to ' .. t.owner .. '; release or unassign it first', 'assignedTo', t.owner)
end

if is_free(t) then remove_ready(t) end
if t.owner ~= '' then redis.call('ZREM', k_own(t.owner), t.n) end
redis.call('ZREM', k_dead, t.n)
redis.call('ZREM', k_ls(t.status, 'created'), t.n)
redis.call('ZREM', k_ls('all', 'created'), t.n)
redis.call('DEL', k_task(t.n))
return {emit('task.deleted', 't-' .. t.n, '{"id":"t-' .. t.n .. '"}')}
