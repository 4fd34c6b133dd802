# 2-size.sh - what a big cache costs: a million entries against ten thousand, bytes per entry, memory of a worker
. ../integration/lib.sh
. ./lib.sh

# fill NAME SIZE - every address gets a result
fill() {
	vload -s "$(verify_socket "$1")" -n "$2" -K "$2" -u 100 -c 16 || fail "cannot fill $1: $LOAD"
	got=$(vouch_stat "$1" cache_entries)
	[ "$got" = "$2" ] || fail "$1: $got entries, not $2"
}
for k in 10000 1000000; do
	vouch_make "k$k" address_verify_cache_size=512M
	vouch_workers "k$k" 1
	vouch_start "k$k"
	fill "k$k" $k
	# shellcheck disable=SC2046
	bench_prefer $(workers "$T/k$k/queue" verify)
	vload -s "$(verify_socket k$k)" -n $k -K $k -c 16 -M || fail "k$k: $LOAD"	# every page was touched once
done
i=0
while [ $i -lt "$ROUNDS" ]; do
	for u in 0 100; do
		for k in 10000 1000000; do
			PIDS=$(workers "$T/k$k/queue" verify)
			bench_once k$k u$u "$(verify_socket k$k)" -c 16 -K $k -o uniform -u $u
		done
	done
	i=$((i + 1))
done
bench_head "size of the cache, 16 connections, 1 worker"
for kind in u0 u100; do
	case $kind in
	u0)	what=queries ;;
	*)	what=updates ;;
	esac
	for k in 10000 1000000; do
		f=$kind.k$k
		bench_row "$what, $k entries" "$f"
		if [ $k = 1000000 ]; then
			r=$(ratio "$f" "$kind.k10000")
			printf '   %s x (%s)' "$r" "$(at_least "$r" 0.85)"
		fi
		echo
	done
done

# a worker's own memory: what is resident, without the table's pages
pid=$(workers "$T/k1000000/queue" verify | head -n 1)
kb=$(awk '/^[0-9a-f]+-[0-9a-f]+ / { table = /verify_cache/ } /^Rss:/ && !table { sum += $2 } END { print sum }' "/proc/$pid/smaps")
printf '\n%-52s %10s\n' "memory" ""
printf '  %-50s %10s   %s\n' "resident in a worker, without the table, KB" "$kb" "$(at_most "$kb" 6144)"
vouch_stop k10000
vouch_stop k1000000

# a table is filled until live entries must go: then its whole size divided by the entries is the true price
vouch_make full address_verify_cache_size=64M
vouch_workers full 1
vouch_start full
vload -s "$(verify_socket full)" -n 1000000 -K 1000000 -u 100 -c 16 || fail "full: $LOAD"
[ "$(vouch_stat full cache_evicted)" -gt 0 ] || fail "a million entries fit into 64M: not full"
awk -v bytes="$(vouch_stat full cache_bytes)" -v n="$(vouch_stat full cache_entries)" \
    -v text="$(is addr_bytes "$LOAD") $(is text_bytes "$LOAD")" 'BEGIN {
	split(text, t, " ")
	cost = bytes / n - t[1] - t[2]
	printf "  %-50s %10.1f   goal <= 96: %s\n", "bytes per entry over address and text, table full", cost, (cost <= 96) ? "met" : "NOT MET"
	printf "  %-50s %10.0f\n", sprintf("entries in 64M (address %.0f, text %.0f bytes)", t[1], t[2]), n
}'
