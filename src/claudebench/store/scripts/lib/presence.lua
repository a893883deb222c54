-- presence: who is heard of. Any command in which an instance names itself is a heartbeat.
-- when  actor ~= ''
-- needs  clock event
-- KEYS  alive offline inst
--
-- Moves the deadline of the actor, if it is registered; one that was OFFLINE is back with a new incarnation.
local record = redis.call('HMGET', k_inst(actor), 'deadAfterMs', 'offline')
if record[1] then redis.call('ZADD', k_alive, now_ms + record[1], actor) end
if record[2] then
  redis.call('HDEL', k_inst(actor), 'offline')
  redis.call('PERSIST', k_inst(actor))
  redis.call('ZREM', k_offline, actor)
  local incarnation = redis.call('HINCRBY', k_inst(actor), 'incarnation', 1)
  emit('instance.online', actor, '{"id":"' .. actor .. '","incarnation":' .. incarnation .. '}')
end
