# 6-smtpcbd - requests per second of smtpcbd(8) for addresses that are known: one process, 100,000 addresses, every reply checked
. ../integration/lib.sh
. ./lib.sh

N=${BENCH_SMTPCBD_ADDRESSES:-100000}

vouch_make b smtpcbd_prefork_limit=1
echo "$LO:4571 inet n - n - 1 smtpcbd" >>"$T/b/etc/master.cf"
vouch_start b
vload -s "$(verify_socket b)" -A 'u%@bench.test' -K "$N" -n "$N" -u 100 -S 0 -c 8 || fail "$LOAD"
up() { "$TOOLS/cbload" -n 1 -A 'u%@bench.test' "$LO" 4571 >"$T/first" 2>&1; }
wait_for 10 up
PIDS=$(workers "$T/b/queue" smtpcbd)
# shellcheck disable=SC2086
bench_prefer $PIDS

# cb_once KEY ARGUMENT... - one short run into $FIGURES/KEY.smtpcbd
cb_once() {
	cb_key=$1
	shift
	cb_ns=$(bench_cpu_ns)
	LOAD=$("$TOOLS/cbload" -d "$SECONDS_EACH" -A 'u%@bench.test' -K "$N" "$@" "$LO" 4571) || fail "$LOAD"
	[ "$(is ok "$LOAD")" = "$(is requests "$LOAD")" ] || fail "not every address is known: $LOAD"
	echo "$(is rate "$LOAD") $(is p50_us "$LOAD") $(is p99_us "$LOAD")" \
	    "$(awk -v a="$cb_ns" -v b="$(bench_cpu_ns)" -v n="$(is requests "$LOAD")" 'BEGIN { print (b - a) / 1000 / n }')" \
	    >>"$FIGURES/$cb_key.smtpcbd"
}

for round in $(seq "$ROUNDS"); do
	cb_once one -c 16
	cb_once ahead -c 16 -w 16
done
bench_head "known addresses, 1 smtpcbd process, 16 connections"
bench_row "one request at a time on each connection" one.smtpcbd
printf '   %s\n' "$(at_least "$(median one.smtpcbd 1)" 50000)"
bench_row "16 requests ahead on each connection" ahead.smtpcbd
printf '\n'
