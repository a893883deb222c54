-- switch_off: nothing is sent to a webhook any more; it stays listed with the reason until somebody removes it.
--
-- flags  allow-oom
-- uses  refuse event group
-- KEYS  webhook webhookmeta
-- ARGV  given_ms actor meta id reason
-- Returns {position, 1}, or {the newest position, 0} when it was off or gone already. Its place in the log and its dead
-- letters go with it, so that no log is kept for who does not want it. `reason` is JSON text.
local kept = redis.call('HMGET', k_webhook(id), 'doc', 'off')
if not kept[1] or kept[2] then return {last_position(), 0} end
redis.call('HSET', k_webhook(id), 'off', reason, 'offMs', now_ms)
end_group('webhook.' .. id)
local position = emit('webhook.switched_off', id, '{"id":"' .. id .. '","reason":' .. reason .. '}')
redis.call('HSET', k_webhookmeta, 'version', position)
return {position, 1}
