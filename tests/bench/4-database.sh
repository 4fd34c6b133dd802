# 4-database - the shared database: durable updates against Postfix's verify with btree:, hits against the store without a
# database, what a miss costs, import and forgetting of a million records, hits while the database fails
. ../integration/lib.sh
. ../integration/lib_postfix.sh
. ../integration/lib_pg.sh
. ./lib.sh

K=10000 N=${BENCH_RECORDS:-1000000}
workers=$(nproc)

pg_make one
cat >>"$(pg_dir one)/data/postgresql.conf" <<EOF
max_wal_size = 4GB
shared_buffers = 512MB
EOF
pg_stop one && pg_start one
net_start one 6432
for w in 1 "$workers"; do
	[ ! -d "$T/db$w" ] || continue
	vouch_make "db$w" address_verify_map="$(map one) application_name=db$w"
	vouch_workers "db$w" "$w"
	vouch_make "mem$w"
	vouch_workers "mem$w" "$w"
	vouch_start "db$w"
	vouch_start "mem$w"
done
up() { [ "$(vouch_stat "$1" database 2>/dev/null)" = up ]; }
wait_for 10 up db1
wait_for 10 up "db$workers"
servers="mem1 mem$workers db1 db$workers"
if [ "$(id -u)" = 0 ] && command -v postfix >/dev/null 2>&1; then
	postfix_make
	postfix_set "address_verify_map=btree:$T/postfix/data/verify_cache" max_use=1000000
	postfix_start
	ln -s "$PFQ/private/verify" "$T/postfix-verify"
	servers="postfix $servers"
fi
servers=$(printf '%s\n' $servers | awk '!seen[$0]++')
socket() {
	case $1 in
	postfix) echo "$PFQ/private/verify" ;;
	*)	verify_socket "$1" ;;
	esac
}
pids() {
	case $1 in
	postfix) echo "$PFPID"; workers "$PFQ" verify ;;
	mem*)	tr -d ' ' <"$T/$1/queue/pid/master.pid"; workers "$T/$1/queue" verify ;;
	# and the server's processes that work for it
	db*)	tr -d ' ' <"$T/$1/queue/pid/master.pid"; workers "$T/$1/queue" verify
		sql one "SELECT pid FROM pg_stat_activity WHERE application_name = '$1'" ;;
	esac
}
name_of() {
	case $1 in
	postfix) echo "Postfix's verify, btree:" ;;
	mem*)	echo "vouch without database, ${1#mem} worker$([ "$1" = mem1 ] || echo s)" ;;
	db*)	echo "vouch with PostgreSQL, ${1#db} worker$([ "$1" = db1 ] || echo s)" ;;
	esac
}

# ---- updates and hits ----
for s in $servers; do
	vload -s "$(socket "$s")" -n $K -K $K -u 100 -c 16 || fail "cannot fill $s: $LOAD"
	eval "pids_$s=\$(pids $s)"
	# shellcheck disable=SC2046
	bench_prefer $(pids "$s")
done
# hits first: the server is busy for some time after updates have ended
i=0
while [ $i -lt "$ROUNDS" ]; do
	for s in $servers; do
		eval "PIDS=\$pids_$s"
		bench_once "$s" "hit16" "$(socket "$s")" -c 16 -K $K -o uniform
	done
	i=$((i + 1))
done
i=0
while [ $i -lt "$ROUNDS" ]; do
	for c in 16 100; do
		for s in $servers; do
			eval "PIDS=\$pids_$s"
			bench_once "$s" "update$c" "$(socket "$s")" -c $c -K $K -u 100
		done
	done
	i=$((i + 1))
done
PIDS=
for s in $servers; do
	vload -s "$(socket "$s")" -n $K -K $K -c 16 -M || fail "$s: $LOAD"
done
for c in 16 100; do
	bench_head "updates, acknowledged when they are durable, $c clients"
	for s in $servers; do
		bench_row "$(name_of "$s")" "update$c.$s"
		case $s in
		db*)	if [ -s "$FIGURES/update$c.postfix" ]; then
				r=$(ratio "update$c.$s" "update$c.postfix")
				printf '   %s x Postfix (%s)' "$r" "$(at_least "$r" 6)"
			fi
			printf '   %s' "$(at_least "$(median "update$c.$s" 1)" 40000)" ;;
		mem*)	printf '   not durable' ;;
		esac
		echo
	done
done
bench_head "queries answered from the cache, 16 clients"
for s in $servers; do
	bench_row "$(name_of "$s")" "hit16.$s"
	case $s in
	db*)	r=$(ratio "hit16.$s" "hit16.mem${s#db}")
		printf '   %s x without (%s)' "$r" "$(at_least "$r" 0.95)" ;;
	esac
	echo
done

# ---- a miss: the time it takes over a network with a round trip of 40 ms, and the statements and commits it costs ----
vouch_make far address_verify_map="$(map one 6432)" verify_prefork_limit=1
vouch_start far
wait_for 10 up far
net delay 20
vload -s "$(verify_socket far)" -A 'near-%@far.test' -K 100 -n 100 -c 1 || fail "$LOAD"
[ "$(vouch_stat far db_unanswered)" = 0 ] || fail "misses were not answered by the database"
trips=$(awk -v us="$(is p50_us "$LOAD")" 'BEGIN { printf "%.2f", us / 40000 }')
printf '\na miss, 40 ms from the database: median %s us, %s round trips   %s\n' "$(is p50_us "$LOAD")" "$trips" \
    "$(at_most "$trips" 1.25)"
net pass
vouch_stop far
for c in 1 16 100; do
	commits=$(sql one "SELECT xact_commit FROM pg_stat_database WHERE datname = 'vouch'")
	asks=$(vouch_stat db1 db_asks)
	vload -s "$(verify_socket db1)" -A "miss$c-%@far.test" -K 1000000 -n 1000000 -c $c -d 2 || fail "$LOAD"
	sleep 1.5				# the server's own count is behind
	printf 'misses, %3s clients: %6.0f per s, median %6.0f us, %.3f statements each\n' $c "$(is rate "$LOAD")" \
	    "$(is p50_us "$LOAD")" "$(awk -v a="$commits" -v b="$(sql one "SELECT xact_commit FROM pg_stat_database WHERE datname = 'vouch'")" \
	    -v c="$asks" -v d="$(vouch_stat db1 db_asks)" 'BEGIN { print (b - a) / (d - c) }')"
done

# ---- hits under a light load, 2000 a second, while something happens to the database; and at the same time the same load on an
# instance without a database: what the machine is good for at that moment. A few misses and updates go on meanwhile ----
TIMES=3
hits() {	# INSTANCE SECONDS
	"$TOOLS/vload" -s "$(verify_socket "$1")" -A 'known-%@load.test' -K 2000 -o uniform -c 4 -w 2 -M -d "$2" >"$T/hits.$1" 2>&1 &
}
# hits_during KEY SECONDS [BREAK MEND] - two figures more in $FIGURES/KEY
hits_during() {
	hits a "$2"; hits_a=$!
	hits calm "$2"; hits_calm=$!
	"$TOOLS/vload" -s "$(verify_socket a)" -A "other-$1-$round-%@load.test" -K 1000000 -n 1000000 -u 50 -c 2 -w 20 -d "$2" >"$T/hits.other" 2>&1 &
	hits_other=$!
	sleep 0.5
	${3-:}
	wait $hits_a && wait $hits_calm && wait $hits_other || fail "$1: $(cat "$T/hits.a" "$T/hits.calm" "$T/hits.other")"
	echo "$(is p99_us "$(cat "$T/hits.a")") $(is p99_us "$(cat "$T/hits.calm")")" >>"$FIGURES/$1"
	${4-:}
	wait_for 20 up a
}
# hits_row KEY WHAT - how much slower than normal, over how much slower the instance without a database was meanwhile
hits_row() {
	hits_ratio=$(awk -v a="$(median "$1" 1)" -v calm="$(median "$1" 2)" -v a0="$(median normal 1)" -v calm0="$(median normal 2)" \
	    'BEGIN { r = a / a0; m = calm / calm0; printf "%.2f", (m > 1 ? r / m : r) }')
	printf '  %-50s %10.0f %16.0f   %s x normal (%s)\n' "$2" "$(median "$1" 1)" "$(median "$1" 2)" "$hits_ratio" "$(at_most "$hits_ratio" 2)"
}
vouch_make a address_verify_map="$(map one 6432)" verify_prefork_limit=2 service_throttle_time=1s
vouch_make calm verify_prefork_limit=2
for h in a calm; do
	vouch_start $h
done
wait_for 10 up a
for h in a calm; do
	vload -s "$(verify_socket $h)" -A 'known-%@load.test' -K 2000 -n 2000 -u 100 -c 4 || fail "cannot fill: $LOAD"
done
freeze() {
	: >"$T/a/log/vouch.log"
	begin=$(now_ms)
	pg_signal one STOP
	wait_for 10 logged a 'warning: database'
	echo "$(($(now_ms) - begin))" >>"$FIGURES/noticed"
}
thaw() { pg_signal one CONT; }
crash() { pg_crash one; }
start_one() { pg_start one; }
swallow() { net swallow; }
reset_net() { net reset; sleep 0.1; net pass; }
refuse() { net refuse; }
pass() { net pass; }
delay() { net delay 200; }
for round in $(seq $TIMES); do
	hits_during normal 3
	hits_during frozen 4 freeze thaw
	hits_during killed 3 crash start_one
	hits_during swallowed 3 swallow reset_net
	hits_during refused 3 refuse pass
	hits_during delayed 3 delay pass
done
printf '\n%-52s %10s %16s\n' "hits, 2000 per s: 99 of 100 took at most" "us" "no database, us"
hits_row normal "normal"
hits_row frozen "server frozen"
hits_row killed "server killed"
hits_row swallowed "network swallows"
hits_row refused "network refuses"
hits_row delayed "network delays 200 ms"
printf 'a frozen server was noticed after %s ms at most   %s\n' "$(sort -n "$FIGURES/noticed" | tail -n 1)" \
    "$(at_most "$(sort -n "$FIGURES/noticed" | tail -n 1)" 2000)"

# ---- a million records come, and a domain of a million addresses goes ----
awk -v n="$N" -v now="$(date +%s)" 'BEGIN { for (i = 0; i < n; i++)
	printf "user%07d@big.test\t%d:0:%d:host mx.big.test[192.0.2.1] said: 250 2.1.5 Ok\n", i, i % 3, now - i % 10000 }' >"$T/big"
begin=$(now_ms)
"$BIN/vouch" -c "$T/a/etc" import "$T/big" >"$T/out" 2>&1 || fail "import: $(cat "$T/out")"
took=$(awk -v ms="$(($(now_ms) - begin))" 'BEGIN { printf "%.1f", ms / 1000 }')
imported="import of $N records: $took s   $(at_most "$took" 60)"
[ "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE '%@big.test'")" = "$N" ] || fail "rows are missing"
forget() {
	begin=$(now_ms)
	"$BIN/vouch" -c "$T/a/etc" forget @big.test >"$T/out" 2>&1 || fail "forget: $(cat "$T/out")"
	forgot=$(awk -v ms="$(($(now_ms) - begin))" 'BEGIN { printf "%.1f", ms / 1000 }')
	kill $hits_a $hits_calm $hits_other
}
hits_during forgotten 120 forget
hits_row forgotten "a domain of $N addresses is forgotten, in $forgot s"
echo "$imported"
case $servers in
postfix*) ;;
*)	skip "Postfix's verify: needs root and Debian's package postfix" ;;
esac
