-- presence: who is heard of. Any command in which an instance names itself is a heartbeat.
-- uses  event
-- KEYS  alive offline inst
--
-- Defines touch(i): moves the deadline of a registered instance; one that was OFFLINE is back with a new incarnation.
local function touch(i)
  if i == '' then return end
  local record = redis.call('HMGET', k_inst(i), 'deadAfterMs', 'offline')
  if not record[1] then return end
  redis.call('ZADD', k_alive, now_ms + record[1], i)
  if not record[2] then return end
  redis.call('HDEL', k_inst(i), 'offline')
  redis.call('PERSIST', k_inst(i))
  redis.call('ZREM', k_offline, i)
  local incarnation = redis.call('HINCRBY', k_inst(i), 'incarnation', 1)
  emit('instance.online', i, '{"id":"' .. i .. '","incarnation":' .. incarnation .. '}')
end
