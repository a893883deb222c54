-- holder: may this caller end or give back this task? The guard of complete, fail, release, renew and update.
-- uses  task refuse
--
-- Defines not_holder(t, worker, epoch) -> refusal or nil, is_repeat(t, worker, epoch, status), is_stale(t, epoch),
-- stale(t, message) -> refusal, CHANGED_HANDS, its usual message, and may_end(t, worker, epoch, status) -> refusal or nil:
-- not_holder, but what is free anybody ends who names no worker, unless it is to be completed and waits for others.
-- `worker` and `epoch` are '' when the caller did not give them; then a task that was ever returned is refused, for
-- nobody can tell whether the caller still owns it. A task in progress that is nobody's may be ended by anybody.
local CHANGED_HANDS = 'the task changed hands since this epoch'
local function stale(t, message) return refuse(STALE, message, 'current', t.epoch) end
local function is_stale(t, epoch) return epoch ~= '' and tonumber(epoch) ~= t.epoch end

local function is_repeat(t, worker, epoch, status)
  return t.status == status and (worker ~= '' or epoch ~= '') and (worker == '' or worker == t.owner)
    and (epoch == '' or tonumber(epoch) == t.epoch)
end

local function not_holder(t, worker, epoch)
  local named = worker ~= '' or epoch ~= ''
  if is_stale(t, epoch) then return stale(t, CHANGED_HANDS) end
  if finished(t) then return refuse(CONFLICT, 'the task is already ' .. t.status, 'status', t.status) end
  if t.owner == '' and t.status == 'in_progress' then return nil end
  if t.owner == '' and named and t.returned then return stale(t, 'the task was taken back') end
  if t.owner == '' then return refuse(CONFLICT, 'nobody holds the task; claim it first', 'status', t.status) end
  if worker ~= '' and worker ~= t.owner then return stale(t, 'the task belongs to ' .. t.owner) end
  if not named and t.returned then return stale(t, 'the task was taken back once; name workerId or epoch') end
end

local function may_end(t, worker, epoch, status)
  if t.status ~= 'pending' then return not_holder(t, worker, epoch) end
  local unproven = worker == '' and epoch == '' or worker ~= '' and not t.returned
  if t.owner ~= '' and worker ~= t.owner and unproven then
    return refuse(CONFLICT, 'the task is reserved for ' .. t.owner, 'assignedTo', t.owner)
  end
  if t.owner ~= '' or worker ~= '' then return not_holder(t, worker, epoch) end
  if status == 'completed' and t.waiting > 0 then return refuse(CONFLICT, 'the task waits for others', 'waitsFor', t.waiting) end
end
