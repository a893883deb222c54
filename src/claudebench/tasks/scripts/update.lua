-- update: other values for a task, and, if asked, one move of it; in one step or not at all. No change, no event.
-- Assessment: TASK_UPDATE
--
-- flags  allow-oom
-- uses  presence sweep holder begin reopen patch owner refuse event
-- KEYS
-- ARGV  given_ms actor meta n status worker epoch priority text metadata changed error operator
-- Returns {position, n, doc, row, result, error, text, metadata}. '' leaves a value as it is.
local UNOWNED_LEASE_MS = 900000
local t = load_task(n)
if not t then return refuse(NOT_FOUND, 'there is no such task') end
if is_stale(t, epoch) then return stale(t, CHANGED_HANDS) end
local keys = merged(t, metadata)
if type(keys) == 'table' then return keys end
local moves = status ~= '' and status ~= t.status
local caller = worker ~= '' and worker or actor
local begins = status == 'in_progress' and (moves or caller ~= '' and caller ~= t.owner)
local ends = (status == 'completed' or status == 'failed') and (moves or worker ~= '' and worker ~= t.owner)
local refusal
if moves and status == 'pending' then
  refusal = not finished(t) and refuse(CONFLICT, 'a task in progress is given back by release or unassign', 'status', t.status)
    or t.dead and operator ~= '1' and refuse(UNAUTHORIZED, 'a dead letter is the operator\'s to try again')
elseif begins then refusal = may_begin(t, caller)
elseif ends then refusal = may_end(t, worker, epoch, status) end
if refusal then return refusal end

local position
text, priority = other_text(t, text), other_priority(t, priority)
if text ~= '' or priority ~= '' or keys ~= '' then
  store_task(t, unpack(patch(t, priority, text, keys)))
  position = emit('task.updated', 't-' .. t.n, '{' .. moving(t) .. ',' .. changed .. '}')
end
if moves and status == 'pending' then
  reopen(t)
  position = emit('task.reopened', 't-' .. t.n, '{' .. moving(t) .. '}')
elseif moves and status == 'in_progress' then
  begin(t, caller, caller == '' and UNOWNED_LEASE_MS or '')
  store_task(t)
  position = emit('task.claimed', 't-' .. t.n, '{' .. moving(t) .. '}')
elseif moves then
  local completed = status == 'completed'
  finish(t, status, completed and 'result' or 'error', completed and '' or error)
  position = emit(completed and 'task.completed' or 'task.failed', 't-' .. t.n,
    '{' .. moving(t) .. ',"fenced":' .. (epoch ~= '' and 'true' or 'false')
    .. (completed and ',"result":null,"resultGiven":false}' or ',"error":' .. error .. '}'))
end
return {position or last_position(), t.n, unpack(stored(n))}
