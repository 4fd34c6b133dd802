# workers.sh - several workers are one service: what one was told all know, one probe for all, and any may be killed
. ./lib.sh

vouch_make w verify_prefork_limit=4 service_throttle_time=1s
cleanupd_start w w --result '0:250 2.1.5 Ok'
vouch_start w
S=$(verify_socket w)
Q=$T/w/queue
four_workers() { [ "$(workers "$Q" verify | wc -l)" = 4 ]; }
wait_for 10 four_workers

# an update taken by one worker is in force at the next query to any other
# shellcheck disable=SC2046
peers=$("$TOOLS/vpeers" "$S" 200 $(workers "$Q" verify) 2>&1) || fail "$peers"
note "$peers"

# the same fresh address on 64 connections at once, 500 times: one probe each
vload -s "$S" -A "once-%@peers.test" -K 500 -g 64 -n 32000 -c 64 || fail "once: $LOAD"
wait_for 10 probed_in_all w 500
want "probes for 500 addresses asked 64 times each" "$(grep -c ' once-' "$T/w.probes")" 500

# random workers are killed under load: no wrong answer, nothing forgotten, nobody waits longer than the restart
"$TOOLS/vload" -s "$S" -A "known-%@peers.test" -K 5000 -n 5000 -u 100 -c 4 >/dev/null || fail "cannot fill"
"$TOOLS/vload" -s "$S" -A "known-%@peers.test" -K 5000 -c 16 -o uniform -u 10 -d 60 -M -r 20 -t 5 >"$T/load" 2>&1 &
load=$!
"$TOOLS/vload" -s "$S" -A "fresh-%@peers.test" -K 100000000 -n 100000000 -c 2 -d 60 -r 20 -t 5 >"$T/fresh" 2>&1 &
fresh=$!
kills=$("$TOOLS/killer" "$(tr -d ' ' <"$Q/pid/master.pid")" "${KILL_SECONDS:-15}" 40) || fail "killer: exit $?"
kill $load $fresh
wait $load || fail "known addresses: $(cat "$T/load")"
wait $fresh || fail "fresh addresses: $(cat "$T/fresh")"
longest=$(is max_us "$(cat "$T/load")")
[ "$kills" -ge 100 ] || fail "only $kills kills"
[ "${longest%.*}" -lt 2000000 ] || fail "a client waited $longest us: $(cat "$T/load")"
note "$kills kills; known: $(cat "$T/load")"
note "fresh: $(cat "$T/fresh")"
wait_for 10 four_workers
# no address is stuck: each fresh one was probed, or is when it is asked again (its worker died with the probe in hand)
n=$(is requests "$(cat "$T/fresh")")
all_fresh_known() {
	"$TOOLS/vload" -s "$S" -A "fresh-%@peers.test" -K "$n" -n "$n" -c 16 >"$T/again" || fail "fresh again: $(cat "$T/again")"
	[ "$(is todo "$(cat "$T/again")")" = 0 ]
}
wait_for 30 all_fresh_known
vload -s "$S" -A "known-%@peers.test" -K 5000 -n 5000 -c 16 -M || fail "known addresses, afterwards: $LOAD"
note "recovered=$(vouch_stat w cache_recovered) adopted=$(vouch_stat w claims_adopted) damaged=$(vouch_stat w cache_damaged)"
log_clean "$(vouch_log w)"
