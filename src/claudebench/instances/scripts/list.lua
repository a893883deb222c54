-- list: the instances heard of and, after them, those that went OFFLINE in the last day.
--
-- uses  clock
-- KEYS  alive offline inst held
-- ARGV  given_ms limit
-- Returns {now_ms, i, deadline_ms, held, doc, incarnation, deadAfterMs, ...}, at most `limit` of them and about PAGE_BYTES;
-- deadline 0 is OFFLINE.
local PAGE_BYTES = 1048576
local reply, bytes = {now_ms}, 0
local function is_full() return (#reply - 1) / 6 >= tonumber(limit) or bytes >= PAGE_BYTES end
local function add(index, is_alive)
  for _, i in ipairs(redis.call('ZRANGE', index, 0, limit - 1)) do
    local record = redis.call('HMGET', k_inst(i), 'doc', 'incarnation', 'deadAfterMs', 'offline')
    if record[1] and (is_alive == not record[4]) and not is_full() then
      bytes = bytes + #record[1]
      for _, value in ipairs({i, is_alive and redis.call('ZSCORE', index, i) or '0', redis.call('ZCARD', k_held(i)),
        record[1], record[2], record[3]}) do reply[#reply + 1] = value end
    end
  end
end
add(k_alive, true)
add(k_offline, false)
return reply
