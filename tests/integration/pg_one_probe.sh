# pg_one_probe.sh - 4 hosts of 4 workers, one database: 20,000 fresh addresses offered to all at once are probed once each, and
# what one host learns is known on all
# limit: 300
# alone
. ./lib.sh
. ./lib_pg.sh
N=${ADDRESSES:-20000}
HOSTS="a b c d"

pg_make one
for h in $HOSTS; do
	# a database without an answer in time is as good as none, and each host probes for itself: this machine has 24 processes to run
	vouch_pg "$h" one verify_prefork_limit=4 address_verify_map_timeout=10s
	cleanupd_start "$h" "$h" --result 'never-*=-' --result '0:250 2.1.5 Ok'
	vouch_start "$h"
done
for h in $HOSTS; do
	up() { [ "$(vouch_stat "$h" database)" = up ] && [ "$(workers "$T/$h/queue" verify | wc -l)" = 4 ]; }
	wait_for 20 up
done

# all at once, on 8 connections to each host
begin=$(now_ms)
for h in $HOSTS; do
	"$TOOLS/vload" -s "$(verify_socket $h)" -A 'fresh-%@site.test' -K "$N" -n "$N" -c 8 -t 10 >"$T/load.$h" 2>&1 &
	eval "load_$h=$!"
done
for h in $HOSTS; do
	eval "wait \$load_$h" || fail "$h: $(cat "$T/load.$h")"
	note "$h: $(cat "$T/load.$h" | cut -d ' ' -f 1-6)"
done
note "asked $((4 * N)) times in $(($(now_ms) - begin)) ms"
all_probed() { [ "$(cat "$T"/[abcd].probes | wc -l)" -ge "$N" ]; }
wait_for 120 all_probed
for h in $HOSTS; do
	note "$h: probes=$(wc -l <"$T/$h.probes") asks=$(vouch_stat $h db_asks) claims=$(vouch_stat $h db_claims)" \
	    "unanswered=$(vouch_stat $h db_unanswered)"
done
want "probes" "$(cat "$T"/[abcd].probes | wc -l)" "$N"
want "addresses probed" "$(cat "$T"/[abcd].probes | cut -d ' ' -f 2 | sort -u | wc -l)" "$N"

# the results are known on all hosts: the last of them no later than the interval and 250 ms
all_results() { rows one 'status = 0' "$N"; }
wait_for 120 all_results
sleep 1.25
for h in $HOSTS; do
	vload -s "$(verify_socket $h)" -A 'fresh-%@site.test' -K "$N" -n "$N" -c 8 -t 10 || fail "$h: $LOAD"
	want "$h: known" "$(is ok "$LOAD")" "$N"
done
want "probes, in the end" "$(cat "$T"/[abcd].probes | wc -l)" "$N"

# how long a result takes to get to a host that waits for it: it has the claim, and hears of the result by itself
slowest=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	want "claimed on a" "$(ask "$(verify_socket a)" "never-$i@site.test")" "3 *"
	want "known to be claimed on b" "$(ask "$(verify_socket b)" "never-$i@site.test")" "3 *"
	"$TOOLS/vload" -s "$(verify_socket a)" -A "never-$i@site.test" -u 100 -S 0 -n 1 >/dev/null || fail update
	begin=$(now_ms)
	until answers "$(verify_socket b)" "never-$i@site.test" '0 *'; do
		[ $(($(now_ms) - begin)) -le 3000 ] || fail "not known on b"
		sleep 0.01
	done
	took=$(($(now_ms) - begin))
	[ $took -le $slowest ] || slowest=$took
done
note "a result was known on the other host after $slowest ms at most"
[ "$slowest" -le 1250 ] || fail "a result took $slowest ms to the other host"
