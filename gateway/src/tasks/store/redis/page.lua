-- A page of an owner's tasks, and how many there are. ARGV from 4: the owner, a context, a state, the first place that is
-- too early, the place and id of the last task of the page before, how many.

local key = list_key(ARGV[4], maybe(ARGV[5]), maybe(ARGV[6]))
local too_early, behind = maybe(ARGV[7]), maybe(ARGV[8])
local from, to = behind and '(' .. behind or '-', too_early and '(' .. too_early or '+'
local rows = {}
for at, member in ipairs(redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, ARGV[9])) do
  local id = string.sub(member, 21)
  rows[at] = row(id, task(id))
end
return { tostring(redis.call('ZLEXCOUNT', key, '-', to)), rows }
