-- retire: finished tasks whose time is over, or that are too many, leave the ledger, the oldest first; one step of it.
--
-- flags  allow-oom
-- uses  clock task forget
-- KEYS  finished
-- ARGV  given_ms retain_ms finished_max
-- Returns how many it took out, at most STEP; safe to repeat. No event: housekeeping, as when an idempotency key expires.
local STEP = 25
local over = redis.call('ZCOUNT', k_finished, '-inf', now_ms - retain_ms)
local too_many = redis.call('ZCARD', k_finished) - finished_max
local due = math.min(STEP, math.max(over, too_many))
if due <= 0 then return 0 end
local tasks = {}
for at, n in ipairs(redis.call('ZRANGE', k_finished, 0, due - 1)) do tasks[at] = load_task(n) end
forget(tasks)
return due
