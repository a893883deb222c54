-- lease_take: a role that is free, or whose lease ran out, is handed to one owner, under a term of its own.
--
-- flags  allow-oom
-- uses  clock
-- KEYS  role
-- ARGV  given_ms role owner lease_ms
-- Returns the term, or nil while another's lease runs. The same owner keeps its term and holds longer. No lease lasts
-- longer from now on than it was asked for, should the clock have run backwards.
local kept = redis.call('HMGET', k_role(role), 'owner', 'term', 'untilMs', 'leaseMs')
local holder, term = kept[1] or '', tonumber(kept[2] or 0)
local until_ms, longest_ms = tonumber(kept[3] or 0), now_ms + (kept[4] or 0)
if until_ms > longest_ms then redis.call('HSET', k_role(role), 'untilMs', longest_ms) end
if holder ~= '' and holder ~= owner and until_ms > now_ms then return nil end
if holder ~= owner then term = term + 1 end
redis.call('HSET', k_role(role), 'owner', owner, 'term', term, 'untilMs', now_ms + lease_ms, 'leaseMs', lease_ms)
return term
