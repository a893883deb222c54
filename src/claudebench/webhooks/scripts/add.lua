-- add: a webhook is there, and a group of its own reads the log from behind the event that tells of it.
--
-- uses  presence sweep refuse event group
-- KEYS  webhooks webhook webhookmeta
-- ARGV  given_ms actor meta doc secret told partitions
-- Returns {position, id, ms}; refuses with LIMIT the 17th webhook, and the 33rd group of the log. `told` is what the event
-- carries besides the id; the secret goes nowhere else.
local WEBHOOKS_MAX = 16
if redis.call('ZCARD', k_webhooks) >= WEBHOOKS_MAX then
  return refuse(LIMIT, 'there are too many webhooks', 'reason', 'webhooks', 'limit', WEBHOOKS_MAX)
end
local n = (redis.call('HGET', k_webhookmeta, 'seq') or 0) + 1
local id = 'wh-' .. n
local refusal = no_group('webhook.' .. id, partitions)
if refusal then return refusal end

redis.call('HSET', k_webhook(id), 'doc', doc, 'secret', secret, 'createdMs', now_ms)
redis.call('ZADD', k_webhooks, n, id)
local position = emit('webhook.added', id, '{"id":"' .. id .. '",' .. string.sub(told, 2))
begin_group('webhook.' .. id, partitions, position)
redis.call('HSET', k_webhookmeta, 'seq', n, 'version', position)
return {position, id, now_ms}
