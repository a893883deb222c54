-- told: a fact about the log itself, such as that the store was rolled back; said once, however often it is found.
--
-- flags  allow-oom
-- uses  event
-- KEYS  meta
-- ARGV  given_ms actor meta type place payload
-- Returns {position, or '' when it was said of this place before}.
local said = redis.call('HGET', k_meta, type)
if said == place then return {''} end
redis.call('HSET', k_meta, type, place)
return {emit(type, '-', payload)}
