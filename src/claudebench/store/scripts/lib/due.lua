-- due: is it time to sweep again? Not more than every 50 ms.
-- needs  clock
-- KEYS  meta fence
--
-- Defines sweep_is_due, gap_ms (since the last sweep) and grace_from. The first sweep of a workspace fences it; one in
-- which a server of an older format was first is refused until the tick has brought it up to ours.
local SWEEP_EVERY_MS = 50
local swept = redis.call('HMGET', k_meta, 'lastSweep', 'graceFrom')
if not swept[1] and redis.call('SETNX', k_fence, 'fence') == 0 and redis.call('TYPE', k_fence).ok == 'hash' then
  return {-32001, 'this workspace has an older format and is being migrated', 'reason', 'format', 'retryAfterMs', 250}
end
local gap_ms, grace_from = now_ms - (swept[1] or now_ms), tonumber(swept[2] or 0)
local sweep_is_due = not swept[1] or gap_ms < 0 or gap_ms >= SWEEP_EVERY_MS
