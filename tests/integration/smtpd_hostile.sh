# smtpd_hostile - clients that do what no client should, a next hop whose sessions are killed, and time limits that run out in the
# middle of it: the workers live, nothing stays behind, and good messages in between are told the truth about
. ./lib.sh
. ./lib_smtpd.sh
command -v perl >/dev/null 2>&1 || skip "needs perl"

mkdir "$T/kept"
perl "$HERE/hopd.pl" smtp "$LO" 0 "$T/kept" none >"$T/hop.out" 2>"$T/hop.log" &
HOP=$!
at_exit "stop_pid $HOP"
wait_for 5 grep -q ready "$T/hop.out"
port=$(sed -n 's/^ready //p' "$T/hop.out")
smtpd_make s "queue/smtp $LO $port early 1 timeout 2" "rcpt_test time_limit 2s"
vouch_set s smtpd_client_connection_count_limit=0 smtpd_hard_error_limit=100
vouch_start s
sed -i "s/early 1/early 0/" "$T/s/etc/plugins"
lives() { says "$1" QUIT | grep -q ^221; }
wait_for 10 lives 2525
old=$(workers "$T/s/queue" smtpd)
vouch_reload s >/dev/null 2>&1		# 2526 begins with the file as it is now: one with early, one without
wait_for 10 lives 2526
for pid in $old; do
	wait_for 10 gone "$pid"			# or it is taken for one that must stay
done

run=0
while [ $run -lt "${HOSTILE_RUNS:-2}" ]; do
	run=$((run + 1))
	for listener in 2525 2526; do
		lives $listener || fail "$listener does not answer"
	done
	before=$(workers "$T/s/queue" smtpd | sort | tr '\n' ' ')
	perl "$HERE/hostile.pl" "$LO" 2525 8 400 "${HOSTILE_SEED:-$run}" >"$T/told" 2>"$T/hostile.log" &
	one=$!
	perl "$HERE/hostile.pl" "$LO" 2526 8 400 "${HOSTILE_SEED:-$run}" >"$T/told2" 2>"$T/hostile2.log" &
	two=$!
	while kill -0 $one 2>/dev/null || kill -0 $two 2>/dev/null; do
		victim=$(ps -o pid= --ppid "$HOP" | tail -n 1)
		[ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
		sleep 0.05
	done
	wait $one && wait $two || fail "hostile.pl: $?"
	[ "$(workers "$T/s/queue" smtpd | sort | tr '\n' ' ')" = "$before" ] || fail "a worker has ended"
	# every message that was accepted is there
	find "$T/kept" -type f ! -name '*.*.*' -exec grep -h -a '^X-Number:' {} + | tr -d '\r' | sed 's/^X-Number: //' | sort -u >"$T/stored"
	cat "$T/told" "$T/told2" | sed -n 's/^\([0-9]*\) 250 .*/\1/p' | sort -u >"$T/yes"
	[ "$(wc -l <"$T/yes")" -ge 50 ] || fail "only $(wc -l <"$T/yes") good messages were accepted"
	comm -13 "$T/stored" "$T/yes" >"$T/lost"
	[ ! -s "$T/lost" ] || fail "accepted, and the next hop does not have it: $(head -n 3 "$T/lost")"
	rm -rf "$T/kept" && mkdir "$T/kept"
done

# nothing stays behind: sessions, descriptors, spool files
for pid in $(workers "$T/s/queue" smtpd); do
	idle() { [ "$(find "/proc/$pid/fd" -lname 'socket:*' | wc -l)" -le 8 ]; }
	wait_for 20 idle
	[ "$(find "/proc/$pid/fd" | wc -l)" -le 30 ] || fail "descriptors of $pid: $(ls -l "/proc/$pid/fd")"
	! find "/proc/$pid/fd" -lname '*deleted*' | grep -q . || fail "a spool file is still open"
done
note "$(wc -l <"$T/yes") good messages among the others in the last run; $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status") kB"
log_clean "$(vouch_log s)" "Sanitizer|runtime error"
