-- lease_show: who holds a role.
--
-- uses  clock
-- KEYS  role
-- ARGV  given_ms role
-- Returns {owner or '', term, ms left}.
local kept = redis.call('HMGET', k_role(role), 'owner', 'term', 'untilMs')
return {kept[1] or '', tonumber(kept[2] or 0), math.max(0, (kept[3] or 0) - now_ms)}
