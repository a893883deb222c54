-- signs: which keys have signed audits of this store; a server that lacks one of them adds none.
--
-- flags  allow-oom
-- KEYS  auditkeys
-- ARGV  current ...
-- Returns the ids of those that are not among the arguments behind `current`, which is added when there are none.
local known, unknown = {}, {}
for at = 2, #ARGV do known[ARGV[at]] = true end
for _, id in ipairs(redis.call('SMEMBERS', k_auditkeys)) do
  if not known[id] then unknown[#unknown + 1] = id end
end
if #unknown == 0 then redis.call('SADD', k_auditkeys, current) end
return unknown
