-- due: is it time to sweep again? Not more than every 50 ms.
-- needs  clock
-- KEYS  meta
--
-- Defines sweep_is_due, gap_ms (since the last sweep) and grace_from.
local SWEEP_EVERY_MS = 50
local swept = redis.call('HMGET', k_meta, 'lastSweep', 'graceFrom')
local gap_ms, grace_from = now_ms - (swept[1] or now_ms), tonumber(swept[2] or 0)
local sweep_is_due = not swept[1] or gap_ms < 0 or gap_ms >= SWEEP_EVERY_MS
