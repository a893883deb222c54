-- complete: the holder's word that a task is done; said twice it is answered twice and done once.
--
-- flags  allow-oom
-- uses  presence sweep holder owner refuse event
-- KEYS
-- ARGV  given_ms actor meta n worker epoch result
-- Returns {position, status, finished_ms}.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if is_repeat(t, worker, epoch, 'completed') then return {last_position(), t.status, t.finished_ms} end
local refusal = not_holder(t, worker, epoch)
if refusal then return refusal end

finish(t, 'completed', 'result', result)
local fenced = epoch ~= '' and 'true' or 'false'
local told = result ~= '' and result or 'null,"resultGiven":false'
local payload = '{' .. moving(t) .. ',"fenced":' .. fenced .. ',"result":' .. told .. '}'
return {emit('task.completed', 't-' .. t.n, payload), t.status, t.finished_ms}
