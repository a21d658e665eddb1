-- Makes a context a caller's that nobody has. ARGV from 4: the owner, the context.

if claim(ARGV[5], ARGV[4]) then
  return 'owned'
end
return 'foreign'
