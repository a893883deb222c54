-- delete: remove a task that nobody holds, with every trace but its events.
--
-- flags  allow-oom
-- uses  presence sweep ready forget dependents refuse event
-- KEYS
-- ARGV  given_ms actor meta n
-- Returns {position}; a task in somebody's hands is refused with CONFLICT.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if not finished(t) and not is_free(t) then
  local by = t.owner ~= '' and 'by ' .. t.owner or 'by nobody in particular'
  return refuse(CONFLICT, 'the task is held ' .. by .. '; release or unassign it first', 'assignedTo', t.owner)
end

remove_ready(t)
forget({t})
settle(t.n)
return {emit('task.deleted', 't-' .. t.n, '{"id":"t-' .. t.n .. '"}')}
