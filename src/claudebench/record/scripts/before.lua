-- before: the entries of the log up to a position, newest first, without what they hold.
--
-- KEYS  ev
-- ARGV  upto limit
-- Returns their ids.
local ids = {}
for at, entry in ipairs(redis.call('XREVRANGE', k_ev, upto, '-', 'COUNT', limit)) do ids[at] = entry[1] end
return ids
