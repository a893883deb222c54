-- heartbeat: an instance is heard of, and learns what it holds. A touch, not an event.
--
-- flags  allow-oom
-- uses  presence task
-- KEYS  inst held
-- ARGV  given_ms actor meta
-- Returns {incarnation, n, epoch, ...}, or {0} when it is not registered. The instance is the actor.
local HELD_MAX = 1000
local reply = {tonumber(redis.call('HGET', k_inst(actor), 'incarnation') or 0)}
if reply[1] == 0 then return reply end
for _, n in ipairs(redis.call('ZRANGE', k_held(actor), 0, HELD_MAX - 1)) do
  reply[#reply + 1], reply[#reply + 2] = tonumber(n), load_task(n).epoch
end
return reply
