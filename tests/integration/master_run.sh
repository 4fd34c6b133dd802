# master_run.sh - the master as a program: options, standing, locks, signals, exit statuses
. ./lib.sh
master=$LIBEXEC/master
Q=$T/m/queue E=$T/m/etc LOG=$T/m/mail.log

# instance - a fresh one in $T/m: verify, and whatever is given as further lines of master.cf
instance() {
	rm -rf "$T/m"
	mkdir -p "$E" "$Q/private" "$Q/public" "$Q/pid" "$T/m/data"
	main ""
	printf 'verify unix - - n - 2 verify\n%s\n' "${1-}" >"$E/master.cf"
}
# main TEXT - write main.cf, with TEXT at its end
main() {
	cat >"$E/main.cf" <<EOM
queue_directory = $Q
data_directory = $T/m/data
daemon_directory = $LIBEXEC
mail_owner = $(id -un)
maillog_file = $LOG
maillog_file_prefixes = $T
inet_interfaces = $LO
inet_protocols = ipv4
application_event_drain_time = 2s
$1
EOM
}
# up [OPTION...] - start and wait until it is ready; its pid is in $pid
up() {
	"$master" -c "$E" -w "$@" 2>"$T/err" || fail "master -w: exit $?: $(cat "$T/err")"
	pid=$(tr -d ' ' <"$Q/pid/master.pid")
	at_exit "stop_pid $pid"
}
down() {
	kill "$pid" && wait_for 8 gone "$pid"
}
# refused WHAT PATTERN [OPTION...] - a start that must fail with one line that matches, exit 1, and nothing changed on disk
refused() {
	refused_what=$1 refused_want=$2
	shift 2
	refused_before=$(find "$Q" "$T/m/data" -printf '%p %i %s %m\n' | sort)
	"$master" -c "$E" "$@" 2>"$T/err" </dev/null
	want "$refused_what: exit status" $? 1
	want "$refused_what" "$(cat "$T/err")" "master: fatal: $refused_want"
	want "$refused_what: lines" "$(grep -c '' "$T/err")" 1
	refused_after=$(find "$Q" "$T/m/data" -printf '%p %i %s %m\n' | sort)
	[ "$refused_before" = "$refused_after" ] || fail "$refused_what: on disk: $refused_before, then $refused_after"
}
serves() { answers "$Q/private/verify" "x$1@example.test" '3 *'; }
verdict() { [ "$(cat "$Q/pid/master.status")" = "generation $1" ]; }
two_workers() { [ "$(workers "$Q" verify | wc -l)" = 2 ]; }
descriptors() { find "/proc/$pid/fd" -type l | wc -l; }

# ---- start, test, second start, stop ----
instance
"$master" -c "$E" -t || fail "-t without a master: exit $?"
up
"$master" -c "$E" -t && fail "-t with a master: exit 0"
serves 1 || fail "no answer: $lib_answer"
wait_for 10 two_workers
verdict "0 ok" || fail "verdict: $(cat "$Q/pid/master.status")"
[ -z "$(cat "$T/err")" ] || fail "a start that succeeds says: $(cat "$T/err")"
refused "second start" "another master is running with queue_directory $Q: pid $pid; stop that one, or use another directory"
refused "second start with -w" "another master is running with queue_directory $Q: pid $pid;*" -w
sed "s,^queue_directory.*,queue_directory = $T/m/queue2," "$E/main.cf" >"$T/main2" && mkdir -p "$T/e2" "$T/m/queue2/pid" "$T/m/queue2/private"
cp "$E/master.cf" "$T/e2" && cp "$T/main2" "$T/e2/main.cf"
"$master" -c "$T/e2" 2>"$T/err" && fail "two masters share a data directory"
want "shared data directory" "$(cat "$T/err")" "master: fatal: another master is running with data_directory $T/m/data: pid $pid;*"
[ -z "$(ls "$T/m/queue2/pid" "$T/m/queue2/private" | grep -v :)" ] || fail "the refused one has left something"
want "session" "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid"
want "descriptor limit, soft and hard" "$(awk '/^Max open files/ { print $4 == $5 }' "/proc/$pid/limits")" 1
want "standard output" "$(readlink "/proc/$pid/fd/1")" /dev/null
down
"$master" -c "$E" -t || fail "-t after stop: exit $?"
[ ! -e "$Q/private/verify" ] || fail "the socket is left after stop"
[ -z "$(workers "$Q" verify)" ] || fail "workers are left after stop"
grep -q 'terminating on signal 15' "$LOG" || fail "no last line in the log"

# ---- reload by signal, a hundred times; no descriptor more than before ----
up
wait_for 10 two_workers
before=$(descriptors)
for n in $(seq 100); do
	kill -HUP "$pid"
	wait_for 5 verdict "$n ok"
done
wait_for 10 two_workers
no_more() { [ "$(descriptors)" = "$before" ]; }	# those for old workers go when these have
try_for 10 no_more || fail "descriptors after 100 reloads: $(descriptors), before: $before"
main "max_use = many"
kill -HUP "$pid"
failed() { grep -q '^generation 101 failed: .*/main.cf, line 10: parameter max_use: bad numerical value' "$Q/pid/master.status"; }
wait_for 5 failed
serves 2 || fail "no answer after a refused reload: $lib_answer"
main ""

# ---- kill -9: the workers leave by themselves, and the next master takes over the socket at once ----
old=$(workers "$Q" verify)
kill -9 "$pid"
wait_for 2 gone "$pid"
up
serves 3 || fail "no answer after kill -9: $lib_answer"
for worker in $old; do
	wait_for 10 gone "$worker"
done
down

# ---- occupied: a TCP port, a socket ----
instance "$LO:2599 inet n - n - 1 verify"
up
mkdir -p "$T/e3" "$T/m3/queue/pid" "$T/m3/queue/private" "$T/m3/data"
sed "s,$T/m/\(queue\|data\),$T/m3/\1," "$E/main.cf" >"$T/e3/main.cf"
cp "$E/master.cf" "$T/e3"
"$master" -c "$T/e3" 2>"$T/err" && fail "a port that is in use"
want "occupied port" "$(cat "$T/err")" \
    "master: fatal: $T/e3/master.cf: line 2: service $LO:2599: cannot listen on $LO port 2599: Address already in use; *"
want "occupied port: left behind" "$(find "$T/m3" ! -type d)" ""
down
instance
"$TOOLS/echod" -s "$Q/private/verify" >/dev/null 2>&1 &
other=$!
at_exit "stop_pid $other"
taken() { [ -S "$Q/private/verify" ]; }
wait_for 5 taken
refused "occupied socket" "$E/master.cf: line 1: service verify: private/verify is in use by another process (pid $other); *"
stop_pid "$other"
up			# what it has left is stale now
down

# ---- configuration that cannot be ----
main "mail_owner = nosuchuser"
refused "owner" "$E/main.cf: parameter mail_owner: no such user: \"nosuchuser\"; *"
main "queue_directory = $T/nowhere"
refused "queue directory" "$E/main.cf: parameter queue_directory: $T/nowhere: No such file or directory; *"
main "service_throttle_time = 5 parsecs"
refused "parameter" "$E/main.cf, line 10: parameter service_throttle_time: bad time value or unit: *" -w
main ""
echo "verify unix - - n - 2 nosuchprogram" >"$E/master.cf"
refused "program" "$E/master.cf: line 1: service verify: program $LIBEXEC/nosuchprogram: No such file or directory; *"
"$master" -c "$T/nowhere" 2>"$T/err" && fail "a configuration directory that is not there"
want "configuration directory" "$(cat "$T/err")" "master: fatal: $T/nowhere: No such file or directory; *"
"$master" -x 2>"$T/err"; want "usage" "$?" 1
"$master" -c "$E" word 2>"$T/err"; want "usage" "$?" 1
"$master" -c "$E" -e soon 2>"$T/err"; want "usage" "$?" 1

# ---- in the foreground: one process, the log on standard error, INT and TERM end it with 0 ----
instance
sed -i 's/^maillog_file = .*/maillog_file =/' "$E/main.cf"
for signal in INT TERM; do
	"$master" -c "$E" -s 2>"$T/err" </dev/null &
	pid=$!
	at_exit "stop_pid $pid"
	wait_for 10 serves "$signal"
	want "lock" "$(tr -d ' ' <"$Q/pid/master.pid")" "$pid"
	kill -$signal "$pid"
	wait "$pid"
	want "exit status after $signal" $? 0
	want "standard error" "$(cat "$T/err")" "master: daemon started -- *
master: terminating on signal *"
done
begin=$(now_ms)
"$master" -c "$E" -s -e 1 2>/dev/null </dev/null
want "-e 1: exit status" $? 0
took=$(($(now_ms) - begin))
[ $took -ge 1000 ] && [ $took -lt 5000 ] || fail "-e 1 took $took ms"

# ---- a child that ignores everything: five seconds, then it is killed ----
instance "stubborn unix - - n 1 1 childd noterm linger"
ln -sf "$TOOLS/childd" "$T/m/childd"
sed -i "s,childd ,$(echo "$LIBEXEC" | sed 's,/[^/]*,../,g')${T#/}/m/childd ," "$E/master.cf"
up
# it has been started, and has got as far as to ignore SIGTERM, which is bit 14
stubborn_runs() {
	stubborn=$(workers "$Q" childd)
	[ -n "$stubborn" ] && grep -q '^SigIgn:.*[4-7c-f][0-9a-f][0-9a-f][0-9a-f]$' "/proc/$stubborn/status"
}
wait_for 5 stubborn_runs
begin=$(now_ms)
down
took=$(($(now_ms) - begin))
[ $took -ge 4500 ] && [ $took -lt 7000 ] || fail "stop with a stubborn child took $took ms"
gone "$stubborn" || fail "the stubborn child is left"

# ---- another user: all is that user's ----
if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1 && command -v setpriv >/dev/null; then
	as_nobody() { setpriv --reuid nobody --clear-groups "$@"; }
	mkdir "$T/libexec"			# the checkout may be where nobody cannot look
	cp "$LIBEXEC/master" "$LIBEXEC/verify" "$T/libexec"
	chmod 755 "$T" "$T/libexec"
	LIBEXEC=$T/libexec master=$T/libexec/master
	instance
	chown -R nobody "$T/m"
	as_nobody "$master" -c "$E" 2>"$T/err" && fail "root's instance started by nobody"
	want "foreign owner" "$(cat "$T/err")" "master: fatal: $E/main.cf: parameter mail_owner is \"root\", but *set mail_owner = nobody*"
	main "mail_owner = nobody"
	echo "verify unix - - y - 2 verify" >"$E/master.cf"
	as_nobody "$master" -c "$E" 2>"$T/err" && fail "chroot without root"
	want "chroot" "$(cat "$T/err")" "master: fatal: $E/master.cf: line 1: service verify: chroot needs root; *"
	echo "verify unix - - n - 2 verify" >"$E/master.cf"
	as_nobody "$master" -c "$E" -w || fail "start as nobody: exit $?"
	pid=$(tr -d ' ' <"$Q/pid/master.pid")
	at_exit "stop_pid $pid"
	serves 4 || fail "no answer as nobody: $lib_answer"
	want "its user" "$(ps -o user= -p "$pid")" nobody
	down
fi
