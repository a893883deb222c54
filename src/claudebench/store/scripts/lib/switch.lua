-- switch: the steps of a switch, each taken by whoever leads it, from where the word stands, once.
-- uses  seam term
-- KEYS  seam places
--
-- Wants the arguments `owner`, `term` and `epoch`. Defines not_at(w, phase) -> refusal or nil: this leader leads, and the
-- word is in that phase at that epoch; not_all(w, state) -> refusal or nil: every live member has noted that it is so at
-- this epoch; enter(w, rises) -> payload: the word is changed, which the event that follows tells. Whom a step did not
-- wait for is a member no more, and not again should the clock run backwards.
local function not_at(w, phase)
  local leads, refusal = holds_term('switch:' .. seam, owner, term)
  if not leads then return refusal end
  if w.phase ~= phase or w.epoch ~= tonumber(epoch) then
    return refuse(CONFLICT, 'the seam is ' .. w.phase .. ' at epoch ' .. w.epoch, 'phase', w.phase, 'current', w.epoch)
  end
end

local function not_all(w, state)
  for _, process in ipairs(live_members()) do
    local place = redis.call('HGET', k_places(seam), process) or ''
    if string.match(place, '^%d+ %a+') ~= w.epoch .. ' ' .. state then
      return refuse(CONFLICT, 'a member is not ' .. state .. ' yet', 'reason', 'members', 'process', process)
    end
  end
end

local function enter(w, rises)
  expire_members()
  w.epoch = w.epoch + rises
  local why = w.reason ~= '' and ',"reason":' .. cjson.encode(w.reason) or ''
  local told = '{"seam":"' .. seam .. '","from":"' .. w.former .. '","to":"' .. w.target .. '","epoch":' .. w.epoch .. why .. '}'
  if w.phase == 'steady' then w.target, w.former = '', '' end
  redis.call('HSET', k_seam(seam), 'strategy', w.strategy, 'epoch', w.epoch, 'phase', w.phase, 'target', w.target,
    'former', w.former, 'reason', w.reason, 'sinceMs', now_ms)
  return told
end
