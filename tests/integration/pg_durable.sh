# pg_durable.sh - what was acknowledged is there: SIGKILL of every vouch process, or of PostgreSQL, at random moments under load
# limit: 300
. ./lib.sh
. ./lib_pg.sh
ROUNDS=${ROUNDS:-5}

pg_make one
vouch_pg a one verify_prefork_limit=4
vouch_start a
up() { [ "$(vouch_stat a database)" = up ]; }
wait_for 10 up
S=$(verify_socket a)

# updates ROUND - updates until updates_end; each connection has one open, and repeats it when its worker is killed
updates() {
	"$TOOLS/vload" -s "$S" -A "d$1-%@durable.test" -K 100000000 -n 100000000 -u 100 -c 16 -w 5 -r 20 -t 20 -d 60 >"$T/load" 2>&1 &
	load=$!
}
# updates_end WHAT - stop the load; open ones are waited for, so all numbers below $acked were acknowledged
updates_end() {
	kill $load
	wait $load || fail "$1: $(cat "$T/load")"
	acked=$(is updates "$(cat "$T/load")")
	[ "$acked" -gt 50 ] || fail "$1: only $acked updates"
	note "$1: $acked updates acknowledged, broken=$(is broken "$(cat "$T/load")")"
}
# all_there ROUND - numbers 0 .. acked-1 are in the database with the right text
all_there() {
	[ "$(sql one "SELECT count(*) FROM generate_series(0, $acked - 1) AS n JOIN vouch_address ON
	    address = 'd$1-' || lpad(n::text, 9, '0') || '@durable.test' AND reason LIKE '%' || lpad(n::text, 9, '0')")" = "$acked" ]
}
kill_all() {
	killed="$(workers "$T/a/queue" master) $(workers "$T/a/queue" verify)"
	# shellcheck disable=SC2086
	kill -9 $killed 2>/dev/null
	wait_for 5 all_gone
}
# all_gone - a process that dies loses its memory, and what it is known by, before its sockets
all_gone() {
	for pid in $killed; do
		[ -z "$(ls "/proc/$pid/fd" 2>/dev/null)" ] || return 1
	done
	[ -z "$(workers "$T/a/queue" master)$(workers "$T/a/queue" verify)" ]
}
random_ms() { shuf -i "$1-$2" -n 1; }
nap() { sleep "$(echo "$1" | sed 's/\(.*\)\(...\)$/0\1.\2/')"; }

# acknowledged is committed: the moment the last of 3000 is, vouch dies, and stays dead
vload -s "$S" -A 'first-%@durable.test' -K 3000 -n 3000 -u 100 -c 16 || fail "$LOAD"
kill_all
want "committed" "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE 'first-%' AND status < 3")" 3000
vouch_start a
wait_for 10 up

# every vouch process dies in the middle of it
for i in $(seq "$ROUNDS"); do
	updates "v$i"
	nap "$(random_ms 1000 2500)"
	kill_all
	kill -STOP $load			# it must not see the restart: count what was acknowledged until now
	sleep 0.2
	missing=$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE 'dv$i-%'")
	vouch_start a
	kill -CONT $load
	wait_for 10 up
	nap "$(random_ms 500 1000)"
	updates_end "vouch killed, $i: $missing were there at once"
	wait_for 20 all_there "v$i"
	wait_for 20 cleaned a
done

# PostgreSQL dies: what was acknowledged before is there after its recovery, what was acknowledged meanwhile comes
for i in $(seq "$ROUNDS"); do
	updates "p$i"
	nap "$(random_ms 1000 2000)"
	pg_crash one
	nap "$(random_ms 300 1500)"
	victim=$(workers "$T/a/queue" verify | shuf -n 1)	# and a worker, with updates in hand
	[ -z "$victim" ] || kill -9 "$victim"
	nap "$(random_ms 300 800)"
	pg_start one
	nap "$(random_ms 500 1000)"
	updates_end "PostgreSQL and a worker killed, $i"
	wait_for 30 up
	wait_for 30 cleaned a
	all_there "p$i" || fail "acknowledged updates are missing"
done

# both at once, and vouch is started first
updates both
sleep 1
pg_crash one
sleep 1
kill_all
kill -STOP $load
vouch_start a
kill -CONT $load
sleep 1
updates_end "both killed"
pg_start one
wait_for 30 up
wait_for 30 cleaned a
all_there both || fail "acknowledged updates are missing"

# the strict form: nothing that was acknowledged with the database up needs vouch to be there. 200 updates one by one, each
# looked for in the database at once
for i in $(seq 200); do
	"$TOOLS/vload" -s "$S" -A "strict-$i@durable.test" -u 100 -S 0 -n 1 >/dev/null || fail "update $i"
	[ "$((i % 20))" != 0 ] || [ "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE 'strict-%' AND status = 0")" = "$i" ] ||
	    fail "update $i was acknowledged before it was committed"
done
