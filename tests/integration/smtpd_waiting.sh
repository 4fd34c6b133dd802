# smtpd_waiting - 1,000 clients that wait for their greeting (earlytalker) cost one worker no thread and less than 32 kB each; then
# each of them is served
. ./lib.sh
. ./lib_smtpd.sh
command -v smtp-source >/dev/null 2>&1 || skip "needs Debian's package postfix"
n=1000
[ "$(ulimit -n)" -gt $((n + 100)) ] || ulimit -n 4096 2>/dev/null || skip "needs $n descriptors"

smtpd_make s "earlytalker wait 6s cache 0" "rcpt_test" "queue/discard"
vouch_set s smtpd_client_limit=2000 smtpd_client_connection_count_limit=0
vouch_start s
# one session, so that the worker is there and warm
says 2525 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<c@d.test>' DATA . QUIT | grep -q '^250 2.6.0' || fail "no service"
pid=$(workers "$T/s/queue" smtpd | head -n 1)
rss() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status"; }
before=$(rss)
smtp-source -s $n -m $n -l 1000 -f a@b.test -t c@d.test "inet:$LO:2525" >"$T/source.out" 2>&1 &
source=$!
at_exit "stop_pid $source"
waiting() { [ "$(ls "/proc/$pid/fd" | wc -l)" -ge $n ]; }
wait_for 10 waiting
now=$(rss)
each=$(((now - before) * 1024 / n))
threads=$(awk '$1 == "Threads:" { print $2 }' "/proc/$pid/status")
note "$n waiting connections: $each bytes each, $threads thread"
[ $each -lt 32768 ] || fail "$each bytes for each waiting connection"
[ "$threads" = 1 ] || fail "$threads threads"
wait $source || fail "smtp-source: $(tail -n 3 "$T/source.out")"
all() { [ "$(vouch_stat s smtpd_messages)" = $((n + 1)) ]; }
wait_for 10 all
log_clean "$(vouch_log s)"
