-- list: the webhooks with their secrets, for the server itself, unless they are as they were at `version`.
--
-- KEYS  webhooks webhook webhookmeta
-- ARGV  version
-- Returns {version} alone when nothing changed since, else {version, id, doc, createdMs, secret, former, formerMs, off,
-- offMs, ...}, '' for what is not there. The version of a workspace that never had one is ''.
local now = redis.call('HGET', k_webhookmeta, 'version') or ''
local reply = {now}
if now == version then return reply end
for _, id in ipairs(redis.call('ZRANGE', k_webhooks, 0, -1)) do
  reply[#reply + 1] = id
  for _, value in ipairs(redis.call('HMGET', k_webhook(id), 'doc', 'createdMs', 'secret', 'former', 'formerMs', 'off', 'offMs')) do
    reply[#reply + 1] = value or ''
  end
end
return reply
