-- register: an instance is there, with these roles and this capacity. Another boot id ends its former incarnation.
--
-- uses  heard sweep owner event
-- KEYS  inst held alive offline
-- ARGV  given_ms actor meta doc roles capacity dead_after_ms boot_id
-- Returns {position, incarnation, n, ...}: the tasks of the former incarnation, free again. The instance is the actor.
local HELD_MAX = 1000
local record = redis.call('HMGET', k_inst(actor), 'incarnation', 'bootId', 'offline')
local incarnation = tonumber(record[1] or 0)
local restarted = record[1] and boot_id ~= '' and record[2] ~= boot_id
local reply = {'', incarnation}
if restarted or record[3] then
  for _, n in ipairs(redis.call('ZRANGE', k_held(actor), 0, HELD_MAX - 1)) do
    local t = load_task(n)
    return_task(t, 'owner restarted')
    if is_free(t) then reply[#reply + 1] = t.n end
  end
end
if restarted or record[3] or not record[1] then incarnation = incarnation + 1 end
redis.call('HSET', k_inst(actor), 'doc', doc, 'roles', roles, 'capacity', capacity, 'deadAfterMs', dead_after_ms,
  'incarnation', incarnation, 'bootId', boot_id)
redis.call('HDEL', k_inst(actor), 'offline')
redis.call('PERSIST', k_inst(actor))
redis.call('ZREM', k_offline, actor)
redis.call('ZADD', k_alive, now_ms + dead_after_ms, actor)
reply[1] = emit('instance.registered', actor,
  '{"id":"' .. actor .. '","incarnation":' .. incarnation .. ',"doc":' .. doc .. '}')
reply[2] = incarnation
return reply
