-- seam_show: the word of a seam, who leads a switch, and where each live member is.
--
-- uses  seam
-- KEYS  members places role
-- ARGV  given_ms seam default
-- Returns {now, leader or '', term, ms left of its lease, the seven fields of the word, then of each member its process,
-- the ms until which it is one, and its place}.
local role = redis.call('HMGET', k_role('switch:' .. seam), 'owner', 'term', 'untilMs')
local answer = {now_ms, role[1] or '', tonumber(role[2] or 0), math.max(0, (role[3] or 0) - now_ms)}
for _, field in ipairs(told_word(read_word())) do answer[#answer + 1] = field end
for _, process in ipairs(live_members()) do
  answer[#answer + 1] = process
  answer[#answer + 1] = tonumber(redis.call('ZSCORE', k_members(seam), process))
  answer[#answer + 1] = redis.call('HGET', k_places(seam), process) or '0 stopped '
end
return answer
