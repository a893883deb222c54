-- unassign: take a task from whoever holds it; an operator's word also denies it to that instance.
--
-- flags  allow-oom
-- uses  presence sweep owner deny refuse event
-- KEYS
-- ARGV  given_ms actor meta n denied
-- Returns {position, n, doc, row, result, error, text, metadata}.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if finished(t) then return refuse(CONFLICT, 'the task is already ' .. t.status, 'status', t.status) end
if t.owner == '' then return refuse(CONFLICT, 'nobody holds the task', 'status', t.status) end

local former = t.owner
if t.status == 'in_progress' then t.attempts = t.attempts - 1 end
if denied == '1' then deny(t, former) end
free_task(t)
local payload = '{' .. moving(t) .. ',"from":"' .. former .. '","reason":"unassigned"}'
return {emit('task.returned', 't-' .. t.n, payload), t.n, unpack(stored(n))}
