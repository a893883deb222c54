-- get: one task as it stands.
--
-- uses  refuse
-- KEYS  task
-- ARGV  n
-- Returns {doc, row, result, error, text, metadata}.
local fields = redis.call('HMGET', k_task(n), 'doc', 'row', 'result', 'error', 'text', 'metadata')
if not fields[1] then return refuse(NOT_FOUND, 'there is no such task') end
return fields
