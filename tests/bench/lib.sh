# tests/bench/lib.sh - rounds, medians, goals; sourced after integration/lib.sh
# Servers are measured in turn, A B C A B C ..., in short runs, so that a machine that gets slower or faster meets them all
# alike. A ratio is the median of the ratios of each round, not a ratio of medians.

ROUNDS=${BENCH_ROUNDS:-11} SECONDS_EACH=${BENCH_SECONDS:-0.25}
FIGURES=$T/figures
mkdir -p "$FIGURES"

# bench_once NAME KEY SOCKET ARGUMENT... - one short run; its figures go to the end of $FIGURES/KEY.NAME. The processor time
# of the processes in $PIDS, if that is set, is part of them: it tells more than the rate while other programs run.
bench_once() {
	bench_file=$FIGURES/$2.$1
	bench_socket=$3
	shift 3
	bench_ns=$(bench_cpu_ns)
	vload -s "$bench_socket" -d "$SECONDS_EACH" "$@" || fail "$bench_file: $LOAD"
	echo "$(is rate "$LOAD") $(is p50_us "$LOAD") $(is p99_us "$LOAD")" \
	    "$(awk -v a="$bench_ns" -v b="$(bench_cpu_ns)" -v n="$(is requests "$LOAD")" 'BEGIN { print (b - a) / 1000 / n }')" \
	    >>"$bench_file"
}
PIDS=
bench_cpu_ns() {
	# shellcheck disable=SC2086
	{ echo 0; for bench_pid in $PIDS; do cat "/proc/$bench_pid/schedstat"; done; } |
		awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}
# bench_prefer PID... - with BENCH_NICE=-19 (as root) these processes, and the load, go before whatever else runs here
bench_prefer() {
	[ -n "${BENCH_NICE-}" ] || return 0
	# who called us goes on in this session
	[ ! -w /proc/$$/autogroup ] || at_exit "echo $(sed 's/.* nice //' /proc/$$/autogroup) >/proc/$$/autogroup"
	for bench_pid in $$ "$@"; do
		renice -n "$BENCH_NICE" -p "$bench_pid" >/dev/null
		[ ! -w "/proc/$bench_pid/autogroup" ] || echo "$BENCH_NICE" >"/proc/$bench_pid/autogroup"
	done
}
# bench_apart PID... - of two processors or more: the load, where $APART runs it, has the last processor to itself, these processes
# the others: how long the load waited for the server's processor is not measured. bench_together PID... - all have all again
APART=
bench_cpus() { taskset -c -p $$ | sed 's/.*: //' | tr ',' '\n' | awk -F - '{ for (i = $1; i <= $NF; i++) print i }'; }
bench_on() {
	bench_list=$(paste -s -d ,)
	for bench_pid do
		taskset -a -c -p "$bench_list" "$bench_pid" >/dev/null
	done
}
bench_apart() {
	bench_cpus | sed '$d' | bench_on "$@"
	APART="taskset -c $(bench_cpus | tail -n 1)"
}
bench_together() {
	bench_cpus | bench_on "$@"
	APART=
}
# median KEY.NAME COLUMN - of all rounds; columns: 1 rate, 2 p50, 3 p99, 4 processor time of the server per request
median() { cut -d ' ' -f "$2" "$FIGURES/$1" | bench_median; }
bench_median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# bench_head WHAT, bench_row NAME KEY.NAME - of the table; a row has no newline, what comes behind it is the caller's
bench_head() { printf '\n%-52s %10s %8s %8s %8s\n' "$1" "per s" "p50 us" "p99 us" "cpu us"; }
bench_row() {
	printf '  %-50s %10.0f %8.1f %8.1f %8.2f' "$1" "$(median "$2" 1)" "$(median "$2" 2)" "$(median "$2" 3)" "$(median "$2" 4)"
}
# ratio KEY.NAME KEY.OTHER - median of the rates' ratios, two decimals
ratio() { paste -d ' ' "$FIGURES/$1" "$FIGURES/$2" | awk '{ print $1 / $5 }' | bench_median | awk '{ printf "%.2f\n", $1 }'; }
# at_least VALUE GOAL, at_most VALUE GOAL - "goal >= 2.5: met"
at_least() { awk -v v="$1" -v g="$2" 'BEGIN { printf "goal >= %s: %s", g, (v >= g) ? "met" : "NOT MET" }'; }
at_most() { awk -v v="$1" -v g="$2" 'BEGIN { printf "goal <= %s: %s", g, (v <= g) ? "met" : "NOT MET" }'; }
