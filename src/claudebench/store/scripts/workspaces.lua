-- workspaces: which workspaces have had an instance; a name given is added, up to the bound, and '' asks for all.
--
-- KEYS  workspaces
-- ARGV  name
-- Returns the names, or none when one was given.
local WORKSPACES_MAX = 10000
if name == '' then return redis.call('SMEMBERS', k_workspaces) end
if redis.call('SCARD', k_workspaces) < WORKSPACES_MAX then redis.call('SADD', k_workspaces, name) end
return {}
