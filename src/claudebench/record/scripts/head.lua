-- head: the newest row of the audit that the record holds; it is moved on only from where it stands.
--
-- flags  allow-oom
-- KEYS  audit
-- ARGV  how from_seq from_mac seq id mac key began
-- Returns the names and values of the hash, as they stand now. `how` is 'look', 'on', or 'accept' of an operator, from
-- anywhere. `began` is the row from which `key` signs, when that is another key than before, else 0.
local changes_max = 256
local kept = redis.call('HMGET', k_audit, 'seq', 'mac')
local is_next = not kept[1] or (kept[1] == from_seq and kept[2] == from_mac)
if how == 'accept' then
  for _, name in ipairs(redis.call('HKEYS', k_audit)) do
    local row = string.match(name, '^from:(%d+)$')
    if row and tonumber(row) > tonumber(seq) then redis.call('HDEL', k_audit, name) end
  end
end
if how == 'accept' or (how == 'on' and is_next) then
  redis.call('HSET', k_audit, 'seq', seq, 'id', id, 'mac', mac, 'key', key)
  if began ~= '0' and redis.call('HLEN', k_audit) < changes_max then
    redis.call('HSET', k_audit, 'from:' .. began, key)
  end
end
return redis.call('HGETALL', k_audit)
