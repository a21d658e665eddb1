-- What of a call's names is there. ARGV from 4: its task, its context, the tasks that it refers to.

local found, owners, references = {}, {}, {}
local id, context = maybe(ARGV[4]), maybe(ARGV[5])
if id then
  local known = task(id)
  if known[1] then
    found[1] = row(id, known)
  end
end
if context then
  local owner = redis.call('GET', context_key(context))
  if owner then
    owners[1] = { owner }
  end
end
for at = 6, #ARGV do
  local known = task(ARGV[at])
  if known[1] then
    references[#references + 1] = row(ARGV[at], known)
  end
end
return { found, owners, references }
