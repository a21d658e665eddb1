-- Makes a context a caller's that nobody has. ARGV from 4: the owner, the context, how many an owner may have.

return claim(ARGV[5], ARGV[4], ARGV[6])
