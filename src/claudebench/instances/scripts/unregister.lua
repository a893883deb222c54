-- unregister: an instance leaves; what it held is free at once.
--
-- flags  allow-oom
-- uses  sweep owner event refuse
-- KEYS  inst held alive offline
-- ARGV  given_ms actor meta instance
-- Returns {position, n, ...}.
local HELD_MAX = 1000
if redis.call('EXISTS', k_inst(instance)) == 0 then
  return refuse(NOT_FOUND, 'there is no such instance', 'instanceId', instance)
end
local reply = {''}
for _, n in ipairs(redis.call('ZRANGE', k_held(instance), 0, HELD_MAX - 1)) do
  local t = load_task(n)
  if t.status == 'in_progress' then t.attempts = t.attempts - 1 end
  return_task(t, 'owner left')
  reply[#reply + 1] = tonumber(n)
end
redis.call('DEL', k_inst(instance))
redis.call('ZREM', k_alive, instance)
redis.call('ZREM', k_offline, instance)
reply[1] = emit('instance.unregistered', instance, '{"id":"' .. instance .. '"}')
return reply
