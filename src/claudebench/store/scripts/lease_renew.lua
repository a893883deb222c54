-- lease_renew: who holds a role holds it longer; also after its lease ran out, if nobody took it meanwhile.
--
-- flags  allow-oom
-- uses  clock term
-- KEYS  role
-- ARGV  given_ms role owner term lease_ms
-- Returns 1; refuses with STALE who does not hold it any more.
local holds, refusal = holds_term(role, owner, term)
if not holds then return refusal end
redis.call('HSET', k_role(role), 'untilMs', now_ms + lease_ms, 'leaseMs', lease_ms)
return 1
