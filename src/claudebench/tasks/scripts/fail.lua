-- fail: the holder's word that a task did not work out: failed, or, retryable and with attempts left, free again.
--
-- flags  allow-oom
-- uses  presence sweep holder owner deny refuse event
-- KEYS
-- ARGV  given_ms actor meta n worker epoch error retryable
-- Returns {position, status, finished_ms}. A retry is denied to the failed owner; without attempts it is a dead letter.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if is_repeat(t, worker, epoch, 'failed') then return {last_position(), t.status, t.finished_ms} end
local refusal = not_holder(t, worker, epoch)
if refusal then return refusal end

if retryable == '1' and t.attempts < t.max_attempts then
  deny(t, t.owner)
  free_task(t)
  return {emit('task.returned', 't-' .. t.n, '{' .. moving(t) .. ',"reason":"failed","error":' .. error .. '}'), t.status, 0}
end
t.dead = retryable == '1'
finish(t, 'failed', 'error', error)
local fenced = epoch ~= '' and 'true' or 'false'
local payload = '{' .. moving(t) .. ',"fenced":' .. fenced .. ',"error":' .. error .. '}'
return {emit('task.failed', 't-' .. t.n, payload), t.status, t.finished_ms}
