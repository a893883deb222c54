-- remove: a webhook is gone, with its secrets, its place in the log and its dead letters.
--
-- flags  allow-oom
-- uses  presence sweep refuse event group
-- KEYS  webhooks webhook webhookmeta
-- ARGV  given_ms actor meta id
-- Returns {position}; refuses with NOT_FOUND an id that is no webhook's.
if redis.call('ZREM', k_webhooks, id) == 0 then return refuse(NOT_FOUND, 'there is no such webhook', 'id', id) end
redis.call('UNLINK', k_webhook(id))
end_group('webhook.' .. id)
local position = emit('webhook.removed', id, '{"id":"' .. id .. '"}')
redis.call('HSET', k_webhookmeta, 'version', position)
return {position}
