-- heard: who registers is heard of before anybody is judged; unlike `presence` it does not bring back an OFFLINE one.
-- needs  clock
-- KEYS  alive
--
-- Wants the argument `dead_after_ms`.
redis.call('ZADD', k_alive, 'XX', now_ms + dead_after_ms, actor)
