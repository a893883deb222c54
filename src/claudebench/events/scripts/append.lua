-- append: a fact that is a change by itself, such as a guard's decision.
--
-- uses  presence sweep event
-- ARGV  given_ms actor meta type subject payload partition_key
-- Returns {position}.
return {emit(type, subject, payload, unpack(partition_key ~= '' and {'partitionKey', partition_key} or {}))}
