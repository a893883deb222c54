-- groups: which groups read this log, those included whose position lives elsewhere.
--
-- KEYS  groups
-- ARGV
-- Returns name and number of partitions of each, one after the other.
return redis.call('HGETALL', k_groups)
