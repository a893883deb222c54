-- reindex: bring the indexes of stored tasks into line with their rows; one step of it, safe to repeat.
--
-- flags  allow-oom
-- uses  task
-- KEYS  meta own done finished
-- ARGV  given_ms from
-- Returns the number to go on from, 0 at the end.
local STEP = 500
local last = tonumber(redis.call('HGET', k_meta, 'seq') or 0)
local stop = math.min(last, from + STEP - 1)
for n = tonumber(from), stop do
  local t = load_task(n)
  if t then
    list_task(t)
    if t.owner ~= '' then redis.call('ZADD', k_own(t.owner), n, n) end
    if t.status == 'completed' then redis.call('SETBIT', k_done, n, 1) end
    if finished(t) then redis.call('ZADD', k_finished, t.finished_ms, n) end
  end
end
return stop < last and stop + 1 or 0
