# 3-probe - from query to cached verdict: probe(8) against Postfix's cleanup, qmgr and smtp, both to Postfix's smtp-sink; the time
# of a first query that waits for its verdict; memory of waiting probes and of open dialogues
. ../integration/lib.sh
. ../integration/lib_postfix.sh
. ../integration/lib_probe.sh
. ./lib.sh
need_postfix

N=${BENCH_PROBES:-20000} NP=${BENCH_PROBES_POSTFIX:-4000} TIMES=${BENCH_PROBE_ROUNDS:-3}

# tree_ms PID - processor time of a process, its children, and of those that have ended, milliseconds
tree_ms() {
	for bench_pid in "$1" $(pgrep -P "$1"); do
		sed 's/^.*) //' "/proc/$bench_pid/stat" 2>/dev/null
	done | awk -v hz="$(getconf CLK_TCK)" '{ sum += $12 + $13 + $14 + $15 } END { printf "%.0f\n", sum * 1000 / hz }'
}
# verdicts LOG - how many there are
verdicts() { grep -c 'status=deliverable' "$1"; }
verdicts_are() { [ "$(verdicts "$1")" -ge "$2" ]; }
# burst KEY SOCKET LOG MASTER_PID N - N fresh addresses, until the last verdict is there; a line "rate cpu_us" into $FIGURES/KEY
burst_round=0
burst() {
	burst_round=$((burst_round + 1))
	burst_had=$(verdicts "$3") burst_cpu=$(tree_ms "$4") burst_begin=$(now_ms)
	vload -s "$2" -A "b$burst_round-%@sink.test" -K "$5" -n "$5" -c 16 -t 60 || fail "$1: $LOAD"
	wait_for 120 verdicts_are "$3" $((burst_had + $5))
	burst_ms=$(($(now_ms) - burst_begin))
	vload -s "$2" -A "b$burst_round-%@sink.test" -K "$5" -n "$5" -c 16 -t 60 || fail "$1: $LOAD"
	[ "$(is ok "$LOAD")" = "$5" ] || fail "$1: not every address has its verdict: $LOAD"
	echo "$((${5} * 1000 / burst_ms)) $((($(tree_ms "$4") - burst_cpu) * 1000 / ${5}))" >>"$FIGURES/$1"
}

smtp-sink -u postfix "$LO:2540" 1000 >"$T/sink.log" 2>&1 &
at_exit "stop_pid $!"

postfix_make
postfix_set "transport_maps=inline:{sink.test=smtp:[$LO]:2540}" in_flow_delay=0 smtpd_recipient_restrictions=permit \
    address_verify_pending_request_limit=100000
postfix_verify_ours n 4
postfix_start
vouch_make p address_verify_pending_request_limit=100000 probe_inflight_size=32M
vouch_probe p relayhost="[$LO]:2540" smtp_tls_security_level=none
vouch_start p
VPID=$(tr -d ' ' <"$T/p/queue/pid/master.pid")

for round in $(seq "$TIMES"); do
	burst postfix "$PFQ/private/verify" "$PFLOG" "$PFPID" "$NP"
	burst probe "$(verify_socket p)" "$(vouch_log p)" "$VPID" "$N"
done
printf '\n%-52s %10s %8s\n' "from query to cached verdict, smtp-sink asked" "per s" "cpu us"
for row in "postfix:verify, Postfix's cleanup, qmgr, smtp" "probe:verify, probe(8)"; do
	printf '  %-50s %10.0f %8.0f\n' "${row#*:}" "$(median "${row%%:*}" 1)" "$(median "${row%%:*}" 2)"
done
r=$(paste -d ' ' "$FIGURES/probe" "$FIGURES/postfix" | awk '{ print $1 / $3 }' | bench_median)
printf '  %-50s %10.1f   %s\n' "times as many probes" "$r" "$(at_least "$r" 10)"

# the first query of a fresh address, held until the verdict is there; the server answers after 20 ms
mxd_start slow "$LO" 2541 -d 20 -p
vouch_set p relayhost="[$LO]:2541" address_verify_hold_time=2500ms
"$BIN/vouch" -c "$T/p/etc" reload >/dev/null 2>&1 || fail "reload"
vload -s "$(verify_socket p)" -A 'w%@sink.test' -K 100 -n 100 -c 1 || fail "$LOAD"
vload -s "$(verify_socket p)" -A 'h%@sink.test' -K 500 -n 500 -c 1 || fail "$LOAD"
ms=$(awk -v us="$(is p50_us "$LOAD")" 'BEGIN { printf "%.1f", us / 1000 }')
[ "$(is ok "$LOAD")" = 500 ] || fail "$LOAD"
printf '\nfirst query to verdict, server answers after 20 ms: median %s ms, p99 %s ms   %s\n' "$ms" \
    "$(awk -v us="$(is p99_us "$LOAD")" 'BEGIN { printf "%.1f", us / 1000 }')" "$(at_most "$ms" 60)"
mxd_stop slow

# memory: probes that wait, dialogues that are open; the process' own, without the shared tables
anon_kb() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status"; }
probe_pid() { pgrep -n -P "$VPID" -x probe; }
mxd_start silent "$LO" 2542 -r '=silent'
vouch_set p relayhost="[$LO]:2542" address_verify_hold_time=0s probe_own_destination_concurrency_limit=1 \
    probe_own_host_concurrency_limit=1 probe_own_pipelining=no
"$BIN/vouch" -c "$T/p/etc" reload >/dev/null 2>&1 || fail "reload"
wait_for 10 counted p probe_received 1
sleep 1
before=$(anon_kb "$(probe_pid)") had=$(counter p probe_received)
vload -s "$(verify_socket p)" -A 'm%@sink.test' -K 20000 -n 20000 -c 16 || fail "$LOAD"
wait_for 60 counted p probe_received $((had + 20000))
waiting=$(awk -v a="$before" -v b="$(anon_kb "$(probe_pid)")" 'BEGIN { printf "%.0f", (b - a) * 1024 / 20000 }')

# dialogues KEY N PORT - open N sessions that stay open, in a fresh process; bytes for each into $bytes
dialogues() {
	"$BIN/vouch" -c "$T/p/etc" abort >/dev/null 2>&1
	rm -f "$T/p/data/"*
	vouch_set p relayhost="[$LO]:$3" probe_own_destination_concurrency_limit="$2" probe_own_host_concurrency_limit="$2" \
	    probe_session_limit="$2"
	vouch_start p
	VPID=$(tr -d ' ' <"$T/p/queue/pid/master.pid")
	vload -s "$(verify_socket p)" -A "$1%@sink.test" -K 1 -n 1 || fail "$LOAD"
	wait_for 10 counted p probe_sessions 1
	before=$(anon_kb "$(probe_pid)")
	vload -s "$(verify_socket p)" -A "$1%@sink.test" -f 1 -K $(($2 - 1)) -n $(($2 - 1)) -c 16 || fail "$LOAD"
	wait_for 20 counted p probe_sessions "$2"
	sleep 1				# what was sent has arrived
	bytes=$(awk -v a="$before" -v b="$(anon_kb "$(probe_pid)")" -v n="$2" 'BEGIN { printf "%.0f", (b - a) * 1024 / (n - 1) }')
}
dialogues open 5000 2542
open=$bytes
mxd_start endless "$LO" 2543 -g "$(awk 'BEGIN { while (n++ < 60) printf "220-%0100d\r\n", n; print "220-" }')"
dialogues full 5000 2543
full=$bytes
printf '\nmemory: a waiting probe %s bytes   %s\n        an open dialogue %s bytes   %s\n' "$waiting" "$(at_most "$waiting" 1024)" \
    "$open" "$(at_most "$open" 16384)"
printf '        one with a server that talks without end %s bytes   %s\n' "$full" "$(at_most "$full" 16384)"
