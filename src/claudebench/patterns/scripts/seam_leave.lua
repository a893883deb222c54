-- seam_leave: a process is a member no more; nobody waits for it.
--
-- flags  allow-oom
-- KEYS  members places
-- ARGV  seam process
-- Returns 1 if it was one, else 0.
redis.call('HDEL', k_places(seam), process)
return redis.call('ZREM', k_members(seam), process)
