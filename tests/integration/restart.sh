# restart.sh - reload, killed workers, stop, start, a killed master, again and again under clients: none of them waits for an
# answer longer than a restart takes, and a start is not kept out by what a killed master has left
. ./lib.sh

vouch_make r
echo "$LO:4571 inet n - n - 2 verify" >>"$T/r/etc/master.cf"
vouch_start r
S=$(verify_socket r)
Q=$T/r/queue
V="$BIN/vouch -c $T/r/etc"
vload -s "$S" -K 1000 -n 1000 -u 100 -c 4 || fail "cannot fill: $LOAD"

# few clients, so that none wakes a worker for another: one that stays, and one that comes anew for each question. Both repeat
# what broke off; -t is generous, what counts is that no answer is missing
"$TOOLS/vload" -s "$S" -K 1000 -c 1 -o uniform -M -d 60 -r 20 -t 20 >"$T/stay" 2>&1 &
stay=$!
"$TOOLS/vload" -s "$S" -K 1000 -c 1 -o uniform -M -d 60 -R 1 -r 20 -t 20 >"$T/come" 2>&1 &
come=$!
i=0
while [ $i -lt 8 ]; do
	i=$((i + 1))
	vouch_reload r >"$T/said" 2>&1 || fail "reload $i: $(cat "$T/said")"
	kill -9 $(workers "$Q" verify | head -n 1) 2>/dev/null
	vouch_reload r >"$T/said" 2>&1 || fail "reload $i: $(cat "$T/said")"
	kill -9 $(workers "$Q" verify) 2>/dev/null
	$V stop >"$T/said" 2>&1 || fail "stop $i: $(cat "$T/said")"
	$V start >"$T/said" 2>&1 || fail "start $i: $(cat "$T/said")"
done
kill $stay $come
wait $stay || fail "client that stays: $(cat "$T/stay")"
wait $come || fail "client that comes and goes: $(cat "$T/come")"
note "stay: $(cat "$T/stay")"
note "come: $(cat "$T/come")"

# the master is killed, and started again at once: its workers may not have noticed yet. Every other time they are even stopped
# for a while
i=0
while [ $i -lt 6 ]; do
	i=$((i + 1))
	master=$(tr -d ' ' <"$Q/pid/master.pid")
	left=$(workers "$Q" verify)
	[ -n "$left" ] || fail "no workers"
	[ $((i % 2)) = 0 ] || kill -STOP $left
	kill -9 "$master"
	wait_for 5 gone "$master"
	(sleep 0.5; kill -CONT $left) 2>/dev/null &
	$V start >"$T/said" 2>&1 || fail "start after kill -9, $i: $(cat "$T/said")"
	wait_for 10 answers "$S" user000000001@example.com "2 host 192.0.2.1 said: 550 *"
	for pid in $left; do
		wait_for 10 gone "$pid"
	done
done
vouch_stop r
log_clean "$(vouch_log r)" "killed by signal [^9]"
