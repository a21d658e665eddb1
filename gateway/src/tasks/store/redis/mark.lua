-- The mark of the store at KEYS[1]: what the first gateway has made, or ARGV[1] from now on.

local mark = redis.call('GET', KEYS[1])
if mark then
  return mark
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
