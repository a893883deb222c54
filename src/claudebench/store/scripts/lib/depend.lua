-- depend: what a new task waits for.
-- uses  dependents refuse
-- KEYS  waits stuck
--
-- Defines open_dependencies(text) -> {{n, fate}, ...} or a refusal, and wait_for(t, dependencies). `text` holds numbers.
local DEPENDENTS_MAX, NUMBER_MAX = 1000, 4294967295
local function open_dependencies(text)
  local found = {}
  for n in string.gmatch(text, '%d+') do
    local is = tonumber(n) <= NUMBER_MAX and fate(n) or 'gone'
    if is == 'gone' then return refuse(NOT_FOUND, 'there is no task t-' .. n .. ' to depend on', 'id', 't-' .. n) end
    if is ~= 'completed' then found[#found + 1] = {n, is} end
    if redis.call('SCARD', k_waits(n)) + redis.call('SCARD', k_stuck(n)) >= DEPENDENTS_MAX then
      return refuse(LIMIT, 'too many tasks depend on t-' .. n, 'reason', 'dependents', 'limit', DEPENDENTS_MAX)
    end
  end
  return found
end

local function wait_for(t, dependencies)
  for _, each in ipairs(dependencies) do
    redis.call('SADD', each[2] == 'failed' and k_stuck(each[1]) or k_waits(each[1]), t.n)
  end
end
