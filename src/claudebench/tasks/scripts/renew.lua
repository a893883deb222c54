-- renew: the holder of a task keeps it for longer. A touch, not an event.
--
-- flags  allow-oom
-- uses  presence sweep holder refuse event
-- KEYS  lease
-- ARGV  given_ms actor meta n worker epoch lease_ms
-- Returns {position, n, doc, row, result, error, text, metadata}; the position is that of the newest event.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
local refusal = not_holder(t, worker, epoch)
if refusal then return refusal end
if t.status ~= 'in_progress' then return refuse(CONFLICT, 'the task is reserved, not in progress', 'status', t.status) end

t.lease_ms = now_ms + lease_ms
redis.call('ZADD', k_lease, t.lease_ms, t.n)
store_task(t)
return {last_position(), t.n, unpack(stored(n))}
