-- retry: a finished task is to be done once more; a dead letter only by the operator's word.
--
-- uses  presence sweep reopen refuse event
-- KEYS
-- ARGV  given_ms actor meta n operator
-- Returns {position, n, doc, row, result, error, text, metadata}.
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if not finished(t) then return refuse(CONFLICT, 'the task is ' .. t.status, 'status', t.status) end
if t.dead and operator ~= '1' then return refuse(UNAUTHORIZED, 'a dead letter is the operator\'s to try again') end

reopen(t)
local position = emit('task.reopened', 't-' .. t.n, '{' .. moving(t) .. '}')
return {position, t.n, unpack(stored(n))}
