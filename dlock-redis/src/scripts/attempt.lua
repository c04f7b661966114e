-- One acquisition attempt.
--
-- KEYS   as of `take`
-- ARGV   the arguments of `take`; the last ones may be missing
-- Reply  what `take` returns

return take(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] or '', ARGV[6] or '')
