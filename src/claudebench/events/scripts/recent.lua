-- recent: the newest facts of the log, newest first.
--
-- KEYS  ev
-- ARGV  limit
-- Returns the entries as XREVRANGE answers them.
return redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', limit)
