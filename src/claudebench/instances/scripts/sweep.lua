-- sweep: the tick of every server; what every changing script also does on its way.
--
-- flags  allow-oom
-- uses  sweep
-- KEYS  alive lease freeing
-- ARGV  given_ms actor meta
-- Returns how many instances, leases and tasks with dependents to be told are left to watch.
return redis.call('ZCARD', k_alive) + redis.call('ZCARD', k_lease) + redis.call('SCARD', k_freeing)
