-- rotate: a webhook signs with a new secret; the former one signs too, for as long as is said.
--
-- uses  presence sweep refuse event
-- KEYS  webhook webhookmeta
-- ARGV  given_ms actor meta id secret keep_ms
-- Returns {position, ms until which the former secret signs too}; refuses with NOT_FOUND an id that is no webhook's. What
-- was former before is gone.
local former = redis.call('HGET', k_webhook(id), 'secret')
if not former then return refuse(NOT_FOUND, 'there is no such webhook', 'id', id) end
local until_ms = now_ms + keep_ms
redis.call('HSET', k_webhook(id), 'secret', secret, 'former', former, 'formerMs', until_ms)
local position = emit('webhook.rotated', id, '{"id":"' .. id .. '","formerUntilMs":' .. until_ms .. '}')
redis.call('HSET', k_webhookmeta, 'version', position)
return {position, until_ms}
