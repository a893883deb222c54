-- identity: which store this is; one that has no id yet takes the one that is offered.
--
-- flags  allow-oom
-- KEYS  format
-- ARGV  offered
-- Returns the id, '' when there is none and none is offered.
if offered ~= '' then redis.call('HSETNX', k_format, 'store', offered) end
return redis.call('HGET', k_format, 'store') or ''
