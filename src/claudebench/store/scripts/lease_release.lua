-- lease_release: who holds a role lets it go, so that the next need not wait; its term is over.
--
-- flags  allow-oom
-- uses  term
-- KEYS  role
-- ARGV  role owner term
-- Returns 1 if it was held, else 0.
if not holds_term(role, owner, term) then return 0 end
redis.call('HSET', k_role(role), 'owner', '', 'untilMs', 0)
return 1
