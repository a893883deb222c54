-- release: the holder gives a task back untouched; the attempt it took is given back too.
--
-- flags  allow-oom
-- uses  presence sweep holder owner refuse event
-- KEYS
-- ARGV  given_ms actor meta n worker epoch
-- Returns {position, n, doc, row, result, error, text, metadata}.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
local refusal = not_holder(t, worker, epoch)
if refusal then return refusal end

local former = t.owner
if t.status == 'in_progress' then t.attempts = t.attempts - 1 end
free_task(t)
local payload = '{' .. moving(t) .. ',"from":"' .. former .. '","reason":"released"}'
return {emit('task.returned', 't-' .. t.n, payload), t.n, unpack(stored(n))}
