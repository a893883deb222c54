-- counts: how many tasks there are of each status.
--
-- KEYS  ls dead
-- ARGV
-- Returns {pending, in_progress, completed, failed, dead letters}.
local counts = {}
for _, status in ipairs({'pending', 'in_progress', 'completed', 'failed'}) do
  counts[#counts + 1] = redis.call('ZCARD', k_ls(status, 'created'))
end
counts[#counts + 1] = redis.call('ZCARD', k_dead)
return counts
