-- ready: the queues of tasks that may be claimed, by the roles they ask for, and for each denied instance what it lost.
-- uses  task
-- KEYS  ready sigs denied
--
-- Defines add_ready(t), remove_ready(t); a task that waits for another, or is somebody's, stands in no queue and stays
-- as it is.
local function add_ready(t)
  if not is_ready(t) then return end
  redis.call('ZADD', k_ready(t.sig), rank(t), t.n)
  redis.call('HINCRBY', k_sigs, t.sig, 1)
  for _, i in ipairs(t.deny) do redis.call('ZADD', k_denied(t.sig, i), rank(t), t.n) end
end

local function remove_ready(t)
  if not is_ready(t) then return end
  redis.call('ZREM', k_ready(t.sig), t.n)
  if redis.call('HINCRBY', k_sigs, t.sig, -1) == 0 then redis.call('HDEL', k_sigs, t.sig) end
  for _, i in ipairs(t.deny) do redis.call('ZREM', k_denied(t.sig, i), t.n) end
end
