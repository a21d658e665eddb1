-- Notes what an answer showed. ARGV from 4: the owner, the task, the context, the state, its place, how many contexts an
-- owner may have, and how many tasks.

local owner, id, context, state, place = ARGV[4], maybe(ARGV[5]), maybe(ARGV[6]), maybe(ARGV[7]), ARGV[8]

-- Digits are compared as numbers that a double holds: texts would be compared as the server's locale does.
local function later(one, other)
  local high, low = tonumber(string.sub(one, 1, 10)), tonumber(string.sub(one, 11))
  local other_high, other_low = tonumber(string.sub(other, 1, 10)), tonumber(string.sub(other, 11))
  return high < other_high or (high == other_high and low < other_low)
end

local known = id and task(id)
local is_known = known and known[1]
if is_known and known[1] ~= owner then
  return 'foreign'
end
if id and not is_known and redis.call('ZCARD', list_key(owner, false, false)) >= tonumber(ARGV[10]) then
  return 'too_many_tasks' -- Before its context is anybody's.
end
if id and not is_known and too_many_others(owner, ARGV[9]) then
  return 'too_many_contexts' -- It may be forgotten, too.
end
local claimed = context and claim(context, owner, ARGV[9]) or 'owned'
if claimed ~= 'owned' then
  return claimed
end
if not id then
  return 'owned'
end
if is_known then
  local of_context, was, since = known[2], known[3], known[4]
  if state and (state ~= was or later(place, since)) then
    redis.call('HSET', task_key(id), 'state', state, 'place', place)
    if not leave(owner, of_context, was, since, id) then
      redis.call('DECR', others_key(owner)) -- It is there again.
    end
    enter(owner, of_context, state, place, id)
  end
  return 'owned'
end
redis.call('HSET', task_key(id), 'owner', owner, 'place', place)
if context then
  redis.call('HSET', task_key(id), 'context', context)
end
if state then
  redis.call('HSET', task_key(id), 'state', state)
end
enter(owner, context, state, place, id)
return 'owned'
