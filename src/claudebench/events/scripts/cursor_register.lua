-- cursor_register: a group begins to read the log; from then on nothing is trimmed that it has not handled.
--
-- uses  group
-- KEYS  groups
-- ARGV  group partitions start
-- Returns 1 if it is new, else 0; refuses with CONFLICT another number of partitions, with LIMIT the 33rd group.
-- `start` is a position, '' for the oldest event that there is, or '$' for the next one.
local refusal = no_group(group, partitions)
if refusal then return refusal end
if redis.call('HEXISTS', k_groups, group) == 1 then return 0 end
begin_group(group, partitions, start)
return 1
