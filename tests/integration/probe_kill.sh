# probe_kill - kill -9 of probe(8) with 5,000 probes open; reload with dialogues open: no address waits for the end of its probe
. ./lib.sh
. ./lib_probe.sh

probe_pid() { pgrep -n -P "$(tr -d ' ' <"$T/p/queue/pid/master.pid")" -x probe; }
# each_known PATTERN N STATUS - N addresses, all with this status by now; for wait_for
each_known() {
	vload -s "$(verify_socket p)" -c 8 -n "$2" -K "$2" -A "$1" -t 30
	[ "$(is "$3" "$LOAD")" = "$2" ]
}
# asked_once PATTERN N - the log has one verdict about each address
asked_once() {
	grep -o "to=<$1>" "$(vouch_log p)" | sort | uniq -c | awk -v n="$2" '$1 != 1 { odd++ } END { exit odd > 0 || NR != n }'
}

vouch_make p
vouch_probe p relayhost="[$LO]:2525" smtp_tls_security_level=none probe_own_host_concurrency_limit=50 \
    probe_own_destination_concurrency_limit=50
mxd_start silent "$LO" 2525 -p -r '=silent'
vouch_start p

# 5,000 probes are open with a server that never answers; the process is killed; its successor asks about all of them
vload -s "$(verify_socket p)" -c 8 -n 5000 -K 5000 -A 'k%@own.test' -t 30 || fail "vload: $LOAD"
wait_for 30 counted p probe_received 5000
[ "$(counter p probe_ok)" = 0 ] || fail "the silent server has answered"
first=$(probe_pid)
kill -USR1 "$MXD"			# from now on it answers
kill -9 "$first"
begin=$(now_ms)
wait_for 60 each_known 'k%@own.test' 5000 ok
note "5000 verdicts $(($(now_ms) - begin)) ms after kill -9"
wait_for 5 counted p probe_adopted 5000
mxd_stop silent

# killed again and again while 5,000 addresses are asked about: each has its verdict in the end
mxd_start busy "$LO" 2525 -p -d 20
vload -s "$(verify_socket p)" -c 8 -n 5000 -K 5000 -A 'b%@own.test' -t 60 &
load=$!
kills=0
until each_known 'b%@own.test' 5000 ok; do
	if [ $kills -lt 4 ]; then
		kill -9 "$(probe_pid)" && kills=$((kills + 1))
	fi
	[ $(($(now_ms) - begin)) -lt 90000 ] || fail "after $kills kills: $LOAD"
	sleep 0.2
done
wait $load
note "5000 verdicts in spite of $kills kills"
mxd_stop busy

# reload: dialogues go on in the old process, each to its own end; what only waits is the new one's, at once
mxd_start mixed "$LO" 2525 -p -r 'hang=+6000 250 2.1.5 Ok'
vload -s "$(verify_socket p)" -c 8 -n 50 -K 50 -A 'hang%@own.test' -t 30 || fail "vload: $LOAD"
asking() { [ "$(vouch_stat p probe_received)" -ge "$1" ]; }
had=$(counter p probe_received)
vload -s "$(verify_socket p)" -c 8 -n 1000 -K 1000 -A 'w%@own.test' -t 30 || fail "vload: $LOAD"
wait_for 20 asking $((had + 1000))
old=$(probe_pid)
begin=$(now_ms)
vouch_reload p || fail "reload"
wait_for 30 each_known 'w%@own.test' 1000 ok
gone "$old" && fail "the old process has left its dialogues"
note "1000 that waited have their verdict $(($(now_ms) - begin)) ms after the reload"
wait_for 30 each_known 'hang%@own.test' 50 ok
asked_once 'hang[0-9]*@own.test' 50 || fail "dialogues were begun again over a reload"
wait_for 10 gone "$old"
mxd_stop mixed
is odd "$FIGURES" | grep -qx 0 || fail "odd commands: $FIGURES"
vouch_stop p
log_clean "$(vouch_log p)" 'killed by signal [^9]'
