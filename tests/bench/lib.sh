# tests/bench/lib.sh - rounds, medians, goals; sourced after integration/lib.sh
# Servers are measured in turn, A B C A B C ..., so that a machine that gets slower or faster meets them all alike.
# A ratio is the median of the ratios of each round, not a ratio of medians.

ROUNDS=${BENCH_ROUNDS:-5} SECONDS_EACH=${BENCH_SECONDS:-0.6}
FIGURES=$T/figures
mkdir -p "$FIGURES"

# bench_once NAME KEY SOCKET ARGUMENT... - one short run; its rate and p99 go to the end of $FIGURES/KEY.NAME
bench_once() {
	bench_file=$FIGURES/$2.$1
	bench_socket=$3
	shift 3
	vload -s "$bench_socket" -d "$SECONDS_EACH" "$@" || fail "$bench_file: $LOAD"
	echo "$(is rate "$LOAD") $(is p50_us "$LOAD") $(is p99_us "$LOAD")" >>"$bench_file"
}
# median KEY.NAME COLUMN - of all rounds; columns: 1 rate, 2 p50, 3 p99
median() { cut -d ' ' -f "$2" "$FIGURES/$1" | bench_median; }
bench_median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# ratio KEY.NAME KEY.OTHER - median of the rates' ratios, two decimals
ratio() { paste -d ' ' "$FIGURES/$1" "$FIGURES/$2" | awk '{ print $1 / $4 }' | bench_median | awk '{ printf "%.2f\n", $1 }'; }
# at_least VALUE GOAL, at_most VALUE GOAL - "goal >= 2.5: met"
at_least() { awk -v v="$1" -v g="$2" 'BEGIN { printf "goal >= %s: %s", g, v >= g ? "met" : "NOT MET" }'; }
at_most() { awk -v v="$1" -v g="$2" 'BEGIN { printf "goal <= %s: %s", g, v <= g ? "met" : "NOT MET" }'; }
