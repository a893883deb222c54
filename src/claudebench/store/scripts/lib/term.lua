-- term: whoever acts under a lease names itself and its term; only who holds the role at its present term may act.
-- uses  refuse
-- KEYS  role
--
-- Defines holds_term(role, owner, term) -> true, or false and the refusal. A lease that ran out and that nobody took is
-- still its owner's: nobody else acts under it.
local function holds_term(role, owner, term)
  local kept = redis.call('HMGET', k_role(role), 'owner', 'term')
  if kept[1] == owner and tonumber(kept[2]) == tonumber(term) then return true end
  return false, refuse(STALE, 'the role changed hands since this term', 'current', tonumber(kept[2] or 0))
end
