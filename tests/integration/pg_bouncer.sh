# pg_bouncer.sh - through PgBouncer in transaction mode: two hosts of 3 workers on 2 server connections; the pooler killed and back
# Needs Debian's package pgbouncer, which nothing else here needs: without it the test is skipped.
. ./lib.sh
. ./lib_pg.sh
command -v pgbouncer >/dev/null 2>&1 || skip "needs Debian's package pgbouncer"

pg_make one
dir=$(pg_dir one)
cat >"$dir/bouncer.ini" <<EOF
[databases]
vouch = host=$dir port=$(pg_port one) dbname=vouch
[pgbouncer]
listen_addr = $LO
listen_port = 6432
unix_socket_dir =
auth_type = trust
auth_file = $dir/users
admin_users = vouch
pool_mode = transaction
default_pool_size = 2
server_login_retry = 1
server_reset_query =
logfile = $dir/bouncer.log
pidfile = $dir/bouncer.pid
EOF
echo '"vouch" ""' >"$dir/users"
bouncer_start() { pg_as "$(command -v pgbouncer)" -q -d "$dir/bouncer.ini" >"$T/bouncer.out" 2>&1 || fail "pgbouncer: $(cat "$T/bouncer.out")"; }
bouncer_kill() {
	[ ! -s "$dir/bouncer.pid" ] || kill -9 "$(cat "$dir/bouncer.pid")" 2>/dev/null
	rm -f "$dir/bouncer.pid"
}
show() { psql -X -q -A -t -h "$LO" -p 6432 -U vouch -d pgbouncer -c "SHOW $1"; }
at_exit bouncer_kill
bouncer_start
for h in a b; do
	vouch_make $h address_verify_map="$(map one 6432)" verify_prefork_limit=3 service_throttle_time=1s
done
vouch_make calm
cleanupd_start a a --result 'bad-*=2:550 5.1.1 nobody' --result '0:250 2.1.5 Ok'
cleanupd_start b b --result 'bad-*=2:550 5.1.1 nobody' --result '0:250 2.1.5 Ok'
for h in a b calm; do
	vouch_start $h
done
up() { [ "$(vouch_stat "$1" database)" = up ]; }
wait_for 10 up a
wait_for 10 up b

# six connections of ours share two of the server's, statement by statement
N=2000
for h in a b; do
	"$TOOLS/vload" -s "$(verify_socket $h)" -A 'fresh-%@pool.test' -K $N -n $N -c 8 >"$T/load.$h" 2>&1 &
	eval "load_$h=$!"
done
for h in a b; do
	eval "wait \$load_$h" || fail "$h: $(cat "$T/load.$h")"
done
wait_for 20 rows one "address LIKE 'fresh-%' AND status = 0" $N
# a host decides alone what the database did not say in time, or had no connection for: on a busy machine both may probe that
alone=0
for h in a b; do
	wait_for 10 counted $h queries $N
	alone=$((alone + N - $(vouch_stat $h db_asks) + $(vouch_stat $h db_unanswered)))
done
twice=$(cat "$T/a.probes" "$T/b.probes" | cut -d ' ' -f 2 | sort | uniq -d | wc -l)
note "$alone addresses decided without the database, $twice probed twice"
[ "$twice" -le $alone ] || fail "$twice addresses were probed twice, but only $alone decided without the database"
for h in a b; do
	known() { vload -s "$(verify_socket $h)" -A 'fresh-%@pool.test' -K $N -n $N -c 8 && [ "$(is ok "$LOAD")" = $N ]; }
	wait_for 10 known
done
connected() { clients=$(show CLIENTS | grep -c 'vouch|vouch|') && [ "$clients" -ge 6 ]; }
wait_for 10 connected
servers=$(sql one "SELECT count(*) FROM pg_stat_activity WHERE usename = 'vouch'")
note "$clients connections of vouch on $servers of the server"
[ "$servers" -le 2 ] || fail "connections: $servers of the server for $clients"
"$BIN/vouch" -c "$T/a/etc" forget fresh-000000001@pool.test || fail "forget"
wait_for 5 answers "$(verify_socket b)" fresh-000000001@pool.test '3 *'
"$BIN/vouch" -c "$T/a/etc" db check >"$T/out" 2>&1 || fail "db check: $(cat "$T/out")"

# the prepared statement is not known on each of the server's connections: noticed by each worker, and then it is prepared no more
"$TOOLS/vload" -s "$(verify_socket b)" -A 'told-%@pool.test' -K 1000 -n 1000 -u 100 -c 8 >/dev/null || fail "updates"
refused=$(grep -c 'ERROR:  prepared statement "vouch_' "$dir/log")
note "$refused statements were refused for their names"
[ "$refused" -le 24 ] || fail "$refused statements were refused: $(grep -m 5 ERROR "$dir/log")"

# the pooler dies, the server behind it does
for i in a calm; do
	"$TOOLS/vload" -s "$(verify_socket $i)" -A 'known-%@load.test' -K 2000 -n 2000 -u 100 -c 4 >/dev/null || fail "cannot fill"
done
load_start a 5
sleep 1
bouncer_kill
wait_for 10 logged a 'warning: database .*: answering from this host'
bouncer_start
load_end "pooler killed"
wait_for 20 back a one
load_start a 5
sleep 1
pg_crash one
sleep 1
pg_start one
load_end "server behind the pooler killed"
wait_for 30 back a one
log_clean "$T/a/log/vouch.log"
