-- head: the newest row of the audit that the record holds; it is moved on only from where it stands.
--
-- flags  allow-oom
-- KEYS  audit
-- ARGV  how from_seq from_mac seq id mac key
-- Returns {seq, id, mac, key}, as they stand now. `how` is 'look', 'on', or 'accept' of an operator, from anywhere.
local kept = redis.call('HMGET', k_audit, 'seq', 'mac')
local is_next = not kept[1] or (kept[1] == from_seq and kept[2] == from_mac)
if how == 'accept' or (how == 'on' and is_next) then
  redis.call('HSET', k_audit, 'seq', seq, 'id', id, 'mac', mac, 'key', key)
end
return redis.call('HMGET', k_audit, 'seq', 'id', 'mac', 'key')
