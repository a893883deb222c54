-- fence: from here on no server of format 1 or 2 changes this workspace: its scripts fail on the key they read first.
--
-- flags  allow-oom
-- KEYS  meta fence ls
-- ARGV  ours
-- Returns 1 if the workspace was not fenced before, else 0. Whoever lists all tasks by the old index fails too.
if redis.call('TYPE', k_fence).ok ~= 'hash' then return 0 end
redis.call('RENAME', k_fence, k_meta)
redis.call('SET', k_fence, ours)
for _, order in ipairs({'created', 'updated', 'priority'}) do
  redis.call('UNLINK', k_ls('all', order))
  redis.call('SET', k_ls('all', order), ours)
end
return 1
