-- list: a page of tasks of one status, or of all, newest first.
--
-- KEYS  task ls
-- ARGV  status before limit
-- Returns {total, more, n, doc, row, result, error, ...}: those below `before` ('+inf' for the first page), at most
-- `limit` and about PAGE_BYTES; more is 1 when others follow.
local PAGE_BYTES = 1048576
local index = k_ls(status, 'created')
local ids = redis.call('ZREVRANGEBYSCORE', index, before, '-inf', 'LIMIT', 0, limit + 1)
local page, bytes = {redis.call('ZCARD', index), 0}, 0
for at, n in ipairs(ids) do
  if at > tonumber(limit) or bytes > PAGE_BYTES then
    page[2] = 1
    break
  end
  page[#page + 1] = n
  for _, field in ipairs(redis.call('HMGET', k_task(n), 'doc', 'row', 'result', 'error')) do
    page[#page + 1] = field
    bytes = bytes + (field and #field or 0)
  end
end
return page
