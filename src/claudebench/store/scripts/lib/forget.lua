-- forget: tasks that nobody holds and no queue offers leave the ledger, with every trace but their events.
-- uses  task
-- KEYS  task own dead finished waits stuck ls
--
-- Defines forget(tasks), one call of the store for each key. What depends on them stays in waits:n or stuck:n, and `done`
-- remembers which were completed.
local function drop(gone, key, n)
  gone[key] = gone[key] or {}
  table.insert(gone[key], n)
end

local function wait_no_more(t)
  for dependency in string.gmatch(redis.call('HGET', k_task(t.n), 'deps'), '%d+') do
    redis.call('SREM', k_waits(dependency), t.n)
    redis.call('SREM', k_stuck(dependency), t.n)
  end
end

local function forget(tasks)
  local gone, hashes = {}, {}
  for at, t in ipairs(tasks) do
    for _, order in ipairs({'created', 'priority', 'updated'}) do drop(gone, k_ls(t.status, order), t.n) end
    if finished(t) then drop(gone, k_finished, t.n) end
    if t.dead then drop(gone, k_dead, t.n) end
    if t.owner ~= '' then drop(gone, k_own(t.owner), t.n) end
    if t.waiting > 0 then wait_no_more(t) end
    hashes[at] = k_task(t.n)
  end
  for key, numbers in pairs(gone) do redis.call('ZREM', key, unpack(numbers)) end
  redis.call('UNLINK', unpack(hashes))
end
