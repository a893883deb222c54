-- sweep: the tick of every server; what every changing script also does on its way.
--
-- flags  allow-oom
-- uses  sweep
-- KEYS  alive lease
-- ARGV  given_ms actor meta
-- Returns how many instances and leases are left to watch.
return redis.call('ZCARD', k_alive) + redis.call('ZCARD', k_lease)
