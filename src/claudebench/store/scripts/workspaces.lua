-- workspaces: which workspaces there are; a name given is added, up to the bound.
--
-- KEYS  workspaces
-- ARGV  name
-- Returns the names.
local WORKSPACES_MAX = 10000
if name ~= '' and redis.call('SCARD', k_workspaces) < WORKSPACES_MAX then redis.call('SADD', k_workspaces, name) end
return redis.call('SMEMBERS', k_workspaces)
