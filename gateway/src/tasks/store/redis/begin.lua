-- What every question begins with, and the shape of what is kept.
--
--   {prefix}:store                                     a random mark, made by the first gateway
--   {prefix}:task:<agent><id>        hash              owner, context and state if there are, place
--   {prefix}:context:<agent><id>     text              its owner
--   {prefix}:others:<agent><owner>   number            an owner's contexts, and tasks that the agent has no more
--   {prefix}:list:<agent><owner>...  sorted set        an owner's tasks by place and id: all of them, those of a context,
--                                                      of a state, of both. What an agent has no more is in none
--
-- A place is 20 digits, the later the smaller, so that lists are in the order of pages. Texts before the last one of a key
-- have their length in front: no two names give one key. KEYS[1] is the mark's key; ARGV: the mark, {prefix}, the agent.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false -- Another store than the one that this gateway began with.
end

local base, agent = ARGV[2], ARGV[3]

local function text(word)
  return #word .. ':' .. word
end

-- '-' stands for no text, '=' before one that may be empty.
local function maybe(word)
  if word == '-' then
    return false
  end
  return string.sub(word, 2)
end

local function task_key(id)
  return base .. ':task:' .. text(agent) .. id
end

local function list_key(owner, context, state)
  local of_context = context and text(context) or '-'
  local of_state = state and text(state) or '-'
  return base .. ':list:' .. text(agent) .. text(owner) .. of_context .. of_state
end

-- Owner, context, state and place; no owner: there is no such task.
local function task(id)
  return redis.call('HMGET', task_key(id), 'owner', 'context', 'state', 'place')
end

local function row(id, found)
  return { id, found[1], found[2], found[3], found[4] }
end

local function lists(owner, context, state)
  local keys = { list_key(owner, false, false) }
  if context then
    keys[#keys + 1] = list_key(owner, context, false)
  end
  if state then
    keys[#keys + 1] = list_key(owner, false, state)
  end
  if context and state then
    keys[#keys + 1] = list_key(owner, context, state)
  end
  return keys
end

-- Whether it was in the owner's lists.
local function leave(owner, context, state, place, id)
  local was = 0
  for _, key in ipairs(lists(owner, context, state)) do
    was = was + redis.call('ZREM', key, place .. id)
  end
  return was > 0
end

local function enter(owner, context, state, place, id)
  for _, key in ipairs(lists(owner, context, state)) do
    redis.call('ZADD', key, 0, place .. id)
  end
end

local function context_key(id)
  return base .. ':context:' .. text(agent) .. id
end

local function others_key(owner)
  return base .. ':others:' .. text(agent) .. owner
end

local function too_many_others(owner, most)
  return tonumber(redis.call('GET', others_key(owner)) or 0) >= tonumber(most)
end

-- Whether a context is the owner's, from now on or already: 'owned', or why not.
local function claim(context, owner, most)
  local key = context_key(context)
  local known = redis.call('GET', key)
  if known then
    return known == owner and 'owned' or 'foreign'
  end
  if too_many_others(owner, most) then
    return 'too_many_contexts'
  end
  redis.call('SET', key, owner)
  redis.call('INCR', others_key(owner))
  return 'owned'
end

