-- claim: hand the most urgent tasks that an instance may take to it, each to nobody else.
--
-- flags  allow-oom
-- uses  presence sweep pick owner refuse
-- KEYS  task reserved lease
-- ARGV  given_ms actor meta claims_max lease_ms
-- Returns {position, n, doc, row, n, doc, row, ...}, position '' when nothing was taken. The claimer is the actor.
local limits = able(actor)
if not limits then return refuse(NOT_FOUND, 'the claimer is not registered', 'instanceId', actor) end

local function start(t)
  if t.owner == '' then
    remove_ready(t)
    own_task(t, actor)
  else redis.call('ZREM', k_reserved(actor), t.n) end
  t.status, t.attempts = 'in_progress', t.attempts + 1
  if lease_ms ~= '' then
    t.lease_ms = now_ms + lease_ms
    redis.call('ZADD', k_lease, t.lease_ms, t.n)
  end
  return store_task(t)
end

local reply = {''}
for _ = 1, tonumber(claims_max) do
  local t = pick(actor, limits)
  if not t then break end
  local row = start(t)
  reply[1] = emit('task.claimed', 't-' .. t.n, '{' .. moving(t) .. '}')
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = t.n, redis.call('HGET', k_task(t.n), 'doc'), row
end
return reply
