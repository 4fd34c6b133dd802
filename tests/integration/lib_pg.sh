# tests/integration/lib_pg.sh - private PostgreSQL clusters for the tests; sourced after lib.sh
# A cluster NAME lives in $T/NAME.pg: data, socket and log; nothing outside is touched. It runs as the user postgres when we are
# root. Its role "vouch" has the service's privileges, and no more.

PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$PGBIN/initdb" ] || PGBIN=$(dirname "$(command -v initdb 2>/dev/null || echo /nonexistent/initdb)")
[ -x "$PGBIN/initdb" ] || skip "needs Debian's package postgresql"
PGUSER_OS=
if [ "$(id -u)" = 0 ]; then
	PGUSER_OS=postgres
	id postgres >/dev/null 2>&1 || PGUSER_OS=nobody
fi
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGOPTIONS PGSERVICE 2>/dev/null

# pg_as COMMAND... - as the user that owns the clusters
pg_as() {
	if [ -n "$PGUSER_OS" ]; then
		setpriv --reuid "$PGUSER_OS" --regid "$(id -g "$PGUSER_OS")" --clear-groups -- "$@"
	else
		"$@"
	fi
}
pg_dir() { echo "$T/$1.pg"; }
pg_pid() { head -n 1 "$T/$1.pg/data/postmaster.pid" 2>/dev/null; }

# pg_make NAME [PORT] - a cluster with the database "vouch", started; it listens on $LO:PORT (default 5432) and in its directory
pg_make() {
	pg_new "$1" "${2:-5432}"
	pg_start "$1"
	psql -q -h "$T/$1.pg" -p "$PGPORT_OF" -U postgres -d postgres -c 'CREATE DATABASE vouch' || fail "createdb"
	vouch_db "$1" init --role vouch >"$T/$1.dbinit" 2>&1 || fail "vouch db init: $(cat "$T/$1.dbinit")"
}
pg_new() {
	lib_pg=$T/$1.pg
	PGPORT_OF=$2
	mkdir -p "$lib_pg" || exit 1
	[ -z "$PGUSER_OS" ] || chown "$PGUSER_OS" "$lib_pg"
	pg_as "$PGBIN/initdb" -D "$lib_pg/data" -U postgres -A trust -E UTF8 --locale=C -N >"$lib_pg.init" 2>&1 ||
	    fail "initdb: $(cat "$lib_pg.init")"
	cat >>"$lib_pg/data/postgresql.conf" <<-EOF
		listen_addresses = '$LO'
		port = $2
		unix_socket_directories = '$lib_pg'
		dynamic_shared_memory_type = mmap
		shared_buffers = 64MB
		max_wal_size = 512MB
		log_line_prefix = '%m [%p] '
	EOF
	echo "host all all $LO/32 trust" >>"$lib_pg/data/pg_hba.conf"
	echo "host replication all $LO/32 trust" >>"$lib_pg/data/pg_hba.conf"
}
pg_start() {
	at_exit "pg_end $1"
	pg_as "$PGBIN/pg_ctl" -D "$T/$1.pg/data" -l "$T/$1.pg/log" -w -t 60 start >"$T/$1.pg.start" 2>&1 ||
	    fail "pg_ctl start: $(cat "$T/$1.pg.start"; tail "$T/$1.pg/log")"
}
# pg_stop NAME [MODE] - smart, fast or immediate
pg_stop() { pg_as "$PGBIN/pg_ctl" -D "$T/$1.pg/data" -m "${2:-fast}" -w -t 60 stop >/dev/null 2>&1; }
# pg_family NAME - the postmaster and all its children
pg_family() {
	lib_pg=$(pg_pid "$1")
	[ -n "$lib_pg" ] || return 0
	echo "$lib_pg"
	ps -o pid= --ppid "$lib_pg"
}
# pg_signal NAME SIGNAL - to all processes of the cluster
pg_signal() {
	# shellcheck disable=SC2046
	kill "-$2" $(pg_family "$1") 2>/dev/null
}
# pg_end NAME - when the script ends, whatever it did to the cluster
pg_end() {
	[ -n "$(pg_pid "$1")" ] || return 0
	pg_signal "$1" CONT
	pg_stop "$1" immediate || pg_kill "$1"
}
# pg_kill NAME - all of it at once. Its System V segment would outlive it, and the machine has room for 4096 of them
pg_kill() {
	lib_pg=$(pg_pid "$1")
	[ -n "$lib_pg" ] || return 0
	lib_shm=$(sed -n '7s/^ *[0-9][0-9]* *\([0-9][0-9]*\)$/\1/p' "$T/$1.pg/data/postmaster.pid")
	kill -STOP "$lib_pg" 2>/dev/null		# no child more than those that are killed
	lib_pg=$(pg_family "$1")
	# shellcheck disable=SC2086
	kill -KILL $lib_pg 2>/dev/null
	# a server is not started while one of them has its shared memory
	for lib_pg in $lib_pg; do
		try_for 5 gone "$lib_pg"
	done
	[ -z "$lib_shm" ] || ipcrm -m "$lib_shm" 2>/dev/null
}
# pg_crash NAME - SIGKILL, as if the machine had lost its power; then ready to be started again
pg_crash() {
	pg_kill "$1"
	rm -f "$T/$1.pg/data/postmaster.pid" "$T/$1.pg/.s.PGSQL."*
}
pg_port() { sed -n 's/^port = //p' "$T/$1.pg/data/postgresql.conf" | tail -n 1; }
# sql NAME STATEMENT - as the owner; bare values
sql() { psql -X -q -A -t -h "$T/$1.pg" -p "$(pg_port "$1")" -U postgres -d "${3:-vouch}" -c "$2"; }
pg_up() { sql "$1" 'SELECT 1' >/dev/null 2>&1; }

# map NAME [PORT] - a value for address_verify_map; by TCP, through another port if one is given
map() { echo "pgsql:host=$LO port=${2:-$(pg_port "$1")} dbname=vouch user=vouch"; }
# vouch_db NAME COMMAND... - vouch db with the owner's rights
vouch_db() {
	lib_pg=$1
	shift
	[ -d "$T/dbinit/etc" ] || "$BIN/vouch" init "$T/dbinit" >/dev/null 2>&1
	"$BIN/vouch" -c "$T/dbinit/etc" db "$@" --as "pgsql:host=$T/$lib_pg.pg port=$(pg_port "$lib_pg") user=postgres dbname=vouch"
}

# vouch_pg NAME CLUSTER [PARAMETER=VALUE...] - an instance that uses the cluster
vouch_pg() {
	lib_vouch=$1 lib_cluster=$2
	shift 2
	vouch_make "$lib_vouch" address_verify_map="$(map "$lib_cluster")" service_throttle_time=1s "$@"
}
# vouch_log NAME - its log
vouch_log() { cat "$T/$1/log/vouch.log"; }
# logged NAME PATTERN [TIMES] - a line of its log; for wait_for
logged() { [ "$(grep -s -c -e "$2" "$T/$1/log/vouch.log")" -ge "${3:-1}" ]; }
# cleaned NAME - nothing is waiting for the database; for wait_for
cleaned() { [ "$(vouch_stat "$1" cache_pinned)" = 0 ]; }
# rows NAME CONDITION COUNT - so many rows; for wait_for
rows() { [ "$(sql "$1" "SELECT count(*) FROM vouch_address WHERE $2")" = "$3" ]; }
# same WHAT GOT WANT - byte for byte
same() { [ "$2" = "$3" ] || fail "$1: got \"$2\", want \"$3\""; }

# ---- a network that does what it is told ----
# net_start CLUSTER PORT - a proxy on $LO:PORT; net MODE [ARGUMENT] - see tests/tools/netfault.c
net_start() {
	echo pass >"$T/net"
	"$TOOLS/netfault" "$LO" "$2" "$LO" "$(pg_port "$1")" "$T/net" >"$T/net.out" 2>>"$T/net.log" &
	at_exit "stop_pid $!"
	wait_for 5 grep -q -s ready "$T/net.out"
}
net() { echo "$*" >"$T/net"; }

# ---- a running load, and what it must come to ----
# load_start NAME SECONDS - three loads on instance NAME for so long, with room to spare on the machine: hits, misses, updates;
# and the same hits on the instance "calm", which has no database: what the machine is good for at this moment
load_round=0
load_start() {
	load_round=$((load_round + 1))
	load_name=$1
	load_socket=$(verify_socket "$1")
	"$TOOLS/vload" -s "$load_socket" -A 'known-%@load.test' -K 2000 -o uniform -c 2 -w 2 -M -t 5 -d "$2" >"$T/load.hits" 2>&1 &
	load_hits=$!
	"$TOOLS/vload" -s "$(verify_socket calm)" -A 'known-%@load.test' -K 2000 -o uniform -c 2 -w 2 -M -t 5 -d "$2" >"$T/load.calm" 2>&1 &
	load_calm=$!
	"$TOOLS/vload" -s "$load_socket" -A "fresh-$load_round-%@load.test" -K 100000000 -n 100000000 -c 2 -w 20 -t 5 -d "$2" \
	    >"$T/load.misses" 2>&1 &
	load_misses=$!
	"$TOOLS/vload" -s "$load_socket" -A "told-$load_round-%@load.test" -K 100000000 -n 100000000 -u 100 -c 2 -w 10 -t 5 -d "$2" \
	    >"$T/load.updates" 2>&1 &
	load_updates=$!
}
# load_end WHAT - every request was answered, misses within the time limit
load_end() {
	wait $load_calm || fail "$1: hits without database: $(cat "$T/load.calm")"
	wait $load_hits || fail "$1: hits: $(cat "$T/load.hits")"
	wait $load_misses || fail "$1: misses: $(cat "$T/load.misses")"
	wait $load_updates || fail "$1: updates: $(cat "$T/load.updates")"
	load_p99=$(is p99_us "$(cat "$T/load.hits")")
	load_p99=${load_p99%.*}
	load_calm_p99=$(is p99_us "$(cat "$T/load.calm")")
	load_calm_p99=${load_calm_p99%.*}
	load_calm_slowest=$(is max_us "$(cat "$T/load.calm")")
	load_calm_slowest=${load_calm_slowest%.*}
	load_slowest=$(is max_us "$(cat "$T/load.misses")")
	load_slowest=${load_slowest%.*}
	load_slowest_update=$(is max_us "$(cat "$T/load.updates")")
	load_slowest_update=${load_slowest_update%.*}
	note "$1: hits p99=${load_p99}us (calm ${load_calm_p99}us max=${load_calm_slowest}us)" \
	    "misses=$(is requests "$(cat "$T/load.misses")") max=${load_slowest}us" \
	    "updates=$(is updates "$(cat "$T/load.updates")") max=${load_slowest_update}us"
	# a machine that keeps an instance without database waiting for so long has done so to this one, too
	load_limit=$((1300000 + load_calm_slowest))
	[ "$load_slowest" -le $load_limit ] || fail "$1: a miss took $load_slowest us, the limit is 1 s; calm: $load_calm_slowest us"
	[ "$load_slowest_update" -le $load_limit ] ||
	    fail "$1: an update took $load_slowest_update us, the limit is 1 s; calm: $load_calm_slowest us"
}
# load_fast - hits were as fast as those without a database at the same time: p99 at most twice as long, and half a millisecond.
# On a busy machine one measurement says little: a test fails when three of them say no
load_fast() { [ "$load_p99" -le $((load_calm_p99 * 2 + 500)) ]; }
# load_settled CLUSTER - all that was acknowledged in this round is in the database
load_settled() {
	load_told=$(is updates "$(cat "$T/load.updates")")
	load_have=$(sql "$1" "SELECT count(*) FROM vouch_address WHERE address LIKE 'told-$load_round-%' AND status < 3")
	[ "$load_have" -ge "$load_told" ]
}
# back NAME CLUSTER - the whole instance is connected, and owes nothing; for wait_for
back() { [ "$(vouch_stat "$1" database)" = up ] && cleaned "$1" && load_settled "$2"; }
