-- claim: hand the most urgent tasks that an instance may take to it, each to nobody else.
--
-- flags  allow-oom
-- uses  presence sweep pick begin refuse
-- KEYS  task
-- ARGV  given_ms actor meta claims_max lease_ms
-- Returns {position, n, doc, row, text, metadata, n, ...}, position '' when nothing was taken. The claimer is the actor.
local limits = able(actor)
if not limits then return refuse(NOT_FOUND, 'the claimer is not registered; call system.register first', 'instanceId', actor) end

local reply = {''}
for _ = 1, tonumber(claims_max) do
  local t = pick(actor, limits)
  if not t then break end
  begin(t, actor, lease_ms)
  local row = store_task(t)
  reply[1] = emit('task.claimed', 't-' .. t.n, '{' .. moving(t) .. '}')
  local kept = redis.call('HMGET', k_task(t.n), 'doc', 'text', 'metadata')
  for _, value in ipairs({t.n, kept[1], row, kept[2], kept[3]}) do reply[#reply + 1] = value end
end
return reply
