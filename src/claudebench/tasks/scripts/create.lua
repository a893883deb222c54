-- create: add a task to the ledger, free for whoever may take it once what it depends on is completed.
--
-- uses  presence sweep ready depend refuse
-- KEYS  meta sigs ls
-- ARGV  given_ms actor meta doc priority sig max_attempts queue_max depends_on
-- Returns {position, n, row}; refuses with LIMIT a full queue and the 65th set of roles.
local SIGS_MAX = 64
if redis.call('ZCARD', k_ls('pending', 'created')) >= tonumber(queue_max) then
  return refuse(LIMIT, 'the queue is full', 'reason', 'queue', 'limit', tonumber(queue_max))
end
if redis.call('HLEN', k_sigs) >= SIGS_MAX and redis.call('HEXISTS', k_sigs, sig) == 0 then
  return refuse(LIMIT, 'too many different sets of required roles wait at once', 'reason', 'requires', 'limit', SIGS_MAX)
end
local dependencies = depends_on ~= '' and open_dependencies(depends_on) or {}
if type(dependencies[1]) == 'number' then return dependencies end

local t = {n = redis.call('HINCRBY', k_meta, 'seq', 1), was = false, status = 'pending', priority = tonumber(priority),
  owner = '', epoch = 0, attempts = 0, max_attempts = tonumber(max_attempts), sig = sig, lease_ms = 0,
  ready_ms = now_ms, created_ms = now_ms, finished_ms = 0, returned = false, dead = false, deny = {},
  waiting = #dependencies, blocked = 0}
for _, each in ipairs(dependencies) do t.blocked = t.blocked + (each[2] == 'failed' and 1 or 0) end
local row = store_task(t, 'doc', doc, unpack(depends_on ~= '' and {'deps', depends_on} or {}))
wait_for(t, dependencies)
add_ready(t)
return {emit('task.created', 't-' .. t.n, '{' .. moving(t) .. ',"doc":' .. doc .. '}'), t.n, row}
