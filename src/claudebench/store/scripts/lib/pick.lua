-- pick: the most urgent task that an instance may take, in O(log n) whatever stands before it.
-- uses  task roles deny
-- KEYS  ready denied reserved sigs
--
-- Defines pick(i, limits) -> t or nil. A denied set is an exact subset of its ready set with equal ranks, so the first
-- rank where the two differ is the first task that i was not denied; it is found by bisection.
local DENIED_LOOK = 10

local function first_allowed(sig, i)
  local ready, denied = k_ready(sig), k_denied(sig, i)
  local low, high = 0, redis.call('ZCARD', denied)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local same = redis.call('ZRANGE', ready, middle, middle)[1] == redis.call('ZRANGE', denied, middle, middle)[1]
    if same then low = middle + 1 else high = middle end
  end
  return redis.call('ZRANGE', ready, low, low, 'WITHSCORES')
end

local function long_refused(sig, i)
  for _, n in ipairs(redis.call('ZRANGE', k_denied(sig, i), 0, DENIED_LOOK - 1)) do
    local t = load_task(n)
    if t.ready_ms + DENIED_WAIT_MS <= now_ms then return {n, rank(t)} end
  end
  return {}
end

local function best(i, limits, look)
  local found, found_rank
  for _, sig in ipairs(redis.call('HKEYS', k_sigs)) do
    if covers(limits.roles, sig) then
      local head = look(sig, i)
      if head[1] and (not found or tonumber(head[2]) < found_rank) then found, found_rank = head[1], tonumber(head[2]) end
    end
  end
  return found, found_rank
end

local function pick(i, limits)
  local mine = redis.call('ZRANGE', k_reserved(i), 0, 0, 'WITHSCORES')
  if not has_room(i, limits) then return mine[1] and load_task(mine[1]) end
  local free, free_rank = best(i, limits, first_allowed)
  if mine[1] and (not free or tonumber(mine[2]) < free_rank) then return load_task(mine[1]) end
  free = free or best(i, limits, long_refused)
  return free and load_task(free)
end
