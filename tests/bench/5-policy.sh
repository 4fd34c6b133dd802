# 5-policy.sh - policy requests per second, side by side: the floor, postgrey, ours; how long they take at half load, and while
# expired records are removed
[ "$(stat -f -c %T "${TMPDIR:-/tmp}")" != tmpfs ] || TMPDIR=/var/tmp	# postgrey's store must be on a disk, and so must ours
export TMPDIR="${TMPDIR:-/tmp}"
. ../integration/lib.sh
. ../integration/lib_policy.sh
. ./lib.sh

K=${BENCH_POLICY_KNOWN:-5000}		# triplets that have been retried
EXPIRED=${BENCH_POLICY_EXPIRED:-100000}
LATER='DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later'

# ---- the servers, in sessions of their own
for kind in known new; do
	action=DUNNO
	[ $kind = known ] || action=$LATER
	setsid "$TOOLS/echod" -s "$T/floor.$kind" -p "$action" &
	eval "pids_floor_$kind=$!"
	at_exit "stop_pid $!"
done
servers=floor
if command -v postgrey >/dev/null 2>&1; then
	mkdir "$T/grey"
	postgrey_as="--user=$(id -un) --group=$(id -gn)"
	[ "$(id -u)" != 0 ] || { chown postgrey "$T/grey" && postgrey_as="--user=postgrey --group=postgrey"; }
	# shellcheck disable=SC2086
	setsid postgrey $postgrey_as --unix="$T/postgrey.sock" --dbdir="$T/grey" --delay=1 --pidfile="$T/postgrey.pid" \
	    >"$T/postgrey.out" 2>&1 &
	pids_postgrey=$!
	at_exit "stop_pid $!"
	postgrey_up() { [ -S "$T/postgrey.sock" ] && policy_says '*' "$T/postgrey.sock"; }
	try_for 10 postgrey_up || fail "postgrey: $(cat "$T/postgrey.out")"
	servers="$servers postgrey"
fi
# grey NAME PARAMETER=VALUE... - one worker that greylists
grey() {
	vouch_make "$@" greylist_delay=1s greylist_exempt_networks=127.0.0.0/8 policy_prefork_limit=1
	policy_service "$1" policy unix
	vouch_start "$1"
	grey_up() { policy_says DUNNO "$(policy_socket "$1")"; }
	wait_for 10 grey_up "$1"
}
policy_socket() { echo "$T/$1/queue/private/policy"; }
grey vouch
pids_vouch=$(workers "$T/vouch/queue" policy)
# what is held against the floor is measured right beside it, behind it and before it in turns
rest=${servers#floor}
servers="floor vouch$rest"
socket() {
	case $1 in
	floor)	echo "$T/floor.$2" ;;
	postgrey) echo "$T/postgrey.sock" ;;
	*)	policy_socket "$1" ;;
	esac
}
# shellcheck disable=SC2086
bench_prefer ${pids_postgrey-} $pids_vouch $pids_floor_known $pids_floor_new

# pload ARGUMENT... - the figures are in $LOAD
# shellcheck disable=SC2086
pload() { LOAD=$($APART "$TOOLS/pload" "$@" 2>&1) || fail "pload $*: $LOAD"; }

# retried SERVER... - the first K triplets are known there
retried() {
	for s do
		pload -K "$K" -n "$K" -x DEFER_IF_PERMIT "$(socket "$s")"
	done
	sleep 1.1
	for s do
		pload -K "$K" -n "$K" -x PREPEND "$(socket "$s")"
	done
}

# ---- known and new triplets
# shellcheck disable=SC2086
retried ${servers#floor}
fresh=1000000
# policy_once SERVER known|new - one short run
policy_once() {
	case $2 in
	known)	set -- "$1" "$2" -K "$K" -x DUNNO ;;
	new)	fresh=$((fresh + 200000))
		set -- "$1" "$2" -f $fresh -K 200000 -x DEFER_IF_PERMIT ;;
	esac
	policy_server=$1 policy_kind=$2
	shift 2
	case $policy_server in
	floor)	eval "PIDS=\$pids_floor_$policy_kind" ;;
	*)	eval "PIDS=\$pids_$policy_server" ;;
	esac
	policy_ns=$(bench_cpu_ns)
	pload -d "$SECONDS_EACH" "$@" "$(socket "$policy_server" "$policy_kind")"
	echo "$(is rate "$LOAD") $(is p50_us "$LOAD") $(is p99_us "$LOAD")" \
	    "$(awk -v a="$policy_ns" -v b="$(bench_cpu_ns)" -v n="$(is requests "$LOAD")" 'BEGIN { print (b - a) / 1000 / n }')" \
	    >>"$FIGURES/$policy_kind.$policy_server"
}
for round in $(seq "$ROUNDS"); do
	[ $((round % 2)) = 0 ] && order="${rest# } vouch floor" || order=$servers
	for kind in known new; do
		for s in $order; do
			policy_once "$s" $kind
		done
	done
done
name_of() {
	case $1 in
	floor)	echo "echo floor" ;;
	postgrey) echo "postgrey $(postgrey --version 2>/dev/null | sed 's/[^0-9.]*//')" ;;
	vouch)	echo "vouch, 1 worker" ;;
	esac
}
printf '\nstores of postgrey and vouch: %s\n' "$(df --output=source,fstype,target "$T" | tail -n 1 | tr -s ' ')"
for kind in known new; do
	bench_head "$kind triplets, 16 connections"
	for s in $servers; do
		bench_row "$(name_of "$s")" "$kind.$s"
		if [ "$s" = vouch ]; then
			r=$(ratio "$kind.$s" "$kind.floor")
			printf '   %s x floor (%s)' "$r" "$(at_least "$r" 0.6)"
			if [ -s "$FIGURES/$kind.postgrey" ]; then
				r=$(ratio "$kind.$s" "$kind.postgrey")
				printf ', %s x postgrey (%s)' "$r" "$(at_least "$r" 20)"
			fi
		fi
		echo
	done
done

# ---- at half load, each request due at its own time; what the full load has left to write, half a gigabyte of log, goes to disk first
sync
printf '\n%-52s %10s %8s %8s %8s\n' "half of that rate" "per s" "p50 us" "p99 us" "max us"
PIDS=
places=together
[ "$(bench_cpus | wc -l)" -lt 2 ] || places="together apart"
for kind in known new; do
	half=$(median "$kind.vouch" 1 | awk '{ printf "%d", $1 / 2 }')
	for round in $(seq 15); do
		for place in $places; do
			# shellcheck disable=SC2086
			bench_$place $pids_vouch $pids_floor_known $pids_floor_new
			for s in floor vouch; do
				case $kind in
				known)	pload -r "$half" -d 1 -K "$K" "$(socket $s $kind)" ;;
				new)	fresh=$((fresh + 200000))
					pload -r "$half" -d 1 -f $fresh -K 200000 "$(socket $s $kind)" ;;
				esac
				echo "$(is rate "$LOAD") $(is p50_us "$LOAD") $(is p99_us "$LOAD") $(is max_us "$LOAD")" \
				    >>"$FIGURES/half.$kind.$s.$place"
			done
		done
	done
	for place in $places; do
		where=
		[ $place = together ] || where=", load apart"
		for s in floor vouch; do
			row=half.$kind.$s.$place
			printf '  %-50s %10.0f %8.1f %8.1f %8.1f' "$(name_of $s), $kind triplets$where" "$(median $row 1)" \
			    "$(median $row 2)" "$(median $row 3)" "$(median $row 4)"
			[ $s = floor ] || printf '   %s' "$(at_most "$(median $row 3)" 1000)"
			echo
		done
	done
done
# shellcheck disable=SC2086
bench_together $pids_vouch $pids_floor_known $pids_floor_new

# ---- while expired records are removed: the same load on a server that has none, at the same time
# during NAME SECONDS WHAT [GONE] - load on NAME's server for so long, or until GONE says that they are
during() {
	for s in "$1" vouch; do
		"$TOOLS/pload" -r 2000 -d 100 -K "$K" -x DUNNO "$(policy_socket "$s")" >"$T/during.$s" 2>&1 &
		eval "during_$s=$!"
	done
	"$TOOLS/stillness" >"$T/during.machine" 2>/dev/null &
	during_machine=$!
	during_begin=$(now_ms)
	try_for "$2" ${4-false} || [ -z "${4-}" ] || fail "$3: records are left after $2 s"
	during_s=$((($(now_ms) - during_begin) / 1000))
	# shellcheck disable=SC2154
	kill -TERM "$during_vouch"
	eval "kill -TERM \$during_$1; wait \$during_$1" || fail "$(cat "$T/during.$1")"
	wait "$during_vouch" || fail "$(cat "$T/during.vouch")"
	kill -TERM $during_machine
	wait $during_machine || : >"$T/during.machine"	# it needs the right to go before all others
	during_row "$3, in $during_s s" "$1"
	printf '   %s\n' "$(at_most "$(is max_us "$(cat "$T/during.$1")")" 10000)"
	during_row "  meanwhile, a server that has nothing to remove" vouch
	echo
	[ ! -s "$T/during.machine" ] || printf '  %-50s %10s %8s %8s %8s\n' "  meanwhile, the machine itself stood still" "" "" "" \
	    "$(is late_us "$(cat "$T/during.machine")")"
}
during_row() {
	set -- "$1" "$(cat "$T/during.$2")"
	printf '  %-50s %10s %8s %8s %8s' "$1" "$(is rate "$2")" "$(is p50_us "$2")" "$(is p99_us "$2")" "$(is max_us "$2")"
}
printf '\n%-52s %10s %8s %8s %8s\n' "2000 requests per s while $EXPIRED expired records go" "per s" "p50 us" "p99 us" "max us"
# triplets that are never retried; a worker goes once through a cache of 32M in 64 s
grey old greylist_retry_window=1m greylist_cache_size=32M
# shellcheck disable=SC2046
bench_prefer $(workers "$T/old/queue" policy)
pload -f 900000000 -K "$EXPIRED" -n "$EXPIRED" -x DEFER_IF_PERMIT "$(policy_socket old)"
expires=$(($(date +%s) + 60))
retried old
while [ "$(date +%s)" -lt $((expires + 1)) ]; do
	sleep 1
done
removed=$(vouch_stat old greylist_never_retried)
during old 66 "this host's memory"
removed=$(($(vouch_stat old greylist_never_retried) - removed))
[ $removed -ge $((EXPIRED / 2)) ] || fail "only $removed records were removed meanwhile"
vouch_stop old
if ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1; then
	. ../integration/lib_pg.sh
	pg_make one
	sql one "INSERT INTO vouch_greylist SELECT 'T' || substr(replace(replace(encode(sha256(i::text::bytea), 'base64'), '+', '-'), '/', '_'), 1, 22),
	    1, 2, 1, 0, 0, $(date +%s%6N) - (3600 + i) * 1000000, 1, '', '192.0.2.0/24', 'u' || i || '@x.example', 'bob@example.com' FROM generate_series(1::bigint, $EXPIRED) AS i" ||
	    fail "no rows to remove"
	sql one 'VACUUM ANALYZE vouch_greylist'
	grey shared greylist_map="$(map one)" address_verify_cache_cleanup_interval=0
	connected() { [ "$(sql one "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'vouch/policy%'")" -ge 1 ]; }
	wait_for 20 connected
	sleep 1					# and the secret of the site
	retried shared
	written() { [ "$(vouch_stat shared greylist_records_pinned)" = 0 ]; }
	wait_for 60 written
	vouch_stop shared
	vouch_set shared address_verify_cache_cleanup_interval=1s
	vouch_start shared
	# shellcheck disable=SC2046
	bench_prefer $(workers "$T/shared/queue" policy)
	shared_gone() { grep -q ' greylist: cleanup: dropped=[1-9]' "$T/shared/log/vouch.log"; }
	during shared 90 "PostgreSQL" shared_gone
fi
case $servers in
*postgrey*) ;;
*)	skip "postgrey: needs Debian's package postgrey" ;;
esac
