-- Leaves a task out of lists. It stays its owner's. ARGV from 4: the owner, the task.

local known = task(ARGV[5])
if known[1] == ARGV[4] then
  redis.call('HDEL', task_key(ARGV[5]), 'state')
  if leave(known[1], known[2], known[3], known[4], ARGV[5]) then
    redis.call('INCR', others_key(known[1]))
  end
end
return 'owned'
