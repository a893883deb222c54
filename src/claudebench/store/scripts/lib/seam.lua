-- seam: which strategy is in force at a seam, how far a switch has come, and which processes are members.
-- uses  clock refuse
-- KEYS  seam members places
--
-- Wants the arguments `seam` and `default`. Defines read_word() -> w, told_word(w) -> list, expire_members(), and
-- live_members() -> processes whose lease of membership runs. A lease that a clock run backwards made longer is cut.
local MEMBERS_MAX, MEMBER_MAX_MS = 1000, 60000
local function read_word()
  local kept = redis.call('HMGET', k_seam(seam), 'strategy', 'epoch', 'phase', 'target', 'former', 'reason', 'sinceMs')
  return {
    strategy = kept[1] or default, epoch = tonumber(kept[2] or 0), phase = kept[3] or 'steady',
    target = kept[4] or '', former = kept[5] or '', reason = kept[6] or '', since_ms = tonumber(kept[7] or 0)
  }
end

local function told_word(w)
  return {w.strategy, w.epoch, w.phase, w.target, w.former, w.reason, w.since_ms}
end

local function expire_members()
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', k_members(seam), '-inf', now_ms)) do
    redis.call('HDEL', k_places(seam), process)
    redis.call('ZREM', k_members(seam), process)
  end
  local longest_ms = now_ms + MEMBER_MAX_MS
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', k_members(seam), '(' .. longest_ms, '+inf')) do
    redis.call('ZADD', k_members(seam), longest_ms, process)
  end
end

local function live_members()
  return redis.call('ZRANGEBYSCORE', k_members(seam), '(' .. now_ms, '+inf', 'LIMIT', 0, MEMBERS_MAX)
end
