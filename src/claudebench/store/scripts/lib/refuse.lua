-- refuse: how a script says no before it has written anything.
--
-- Defines refuse(code, message, name, value, ...): the JSON-RPC code, the sentence, and fields of error.data.
local UNAUTHORIZED, NOT_FOUND, CONFLICT, STALE, LIMIT = -32002, -32010, -32011, -32012, -32013
local function refuse(code, message, ...) return {code, message, ...} end
