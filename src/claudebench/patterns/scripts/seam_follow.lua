-- seam_follow: a process says that it is a member and where it is, and reads the word of its seam.
--
-- flags  allow-oom
-- uses  seam
-- KEYS  seam members places
-- ARGV  given_ms seam default process lease_ms epoch state fault
-- Returns {strategy, epoch, phase, target, former, reason, sinceMs}; refuses with LIMIT one member too many. The first
-- member of a seam that was never switched writes down the default, so that the others follow that and not their own.
expire_members()
local count = redis.call('ZCARD', k_members(seam))
if count >= MEMBERS_MAX and not redis.call('ZSCORE', k_members(seam), process) then
  return refuse(LIMIT, 'the seam has too many members', 'reason', 'members', 'limit', MEMBERS_MAX)
end
local w = read_word()
if count == 0 and w.epoch == 0 then
  w.strategy = default
  redis.call('HSET', k_seam(seam), 'strategy', default)
end
redis.call('ZADD', k_members(seam), now_ms + math.min(lease_ms, MEMBER_MAX_MS), process)
redis.call('HSET', k_places(seam), process, epoch .. ' ' .. state .. ' ' .. fault)
return told_word(w)
