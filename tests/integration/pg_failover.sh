# pg_failover.sh - the primary dies, its standby is promoted: the other host of the list takes over; then a disk that is full
# limit: 240
. ./lib.sh
. ./lib_pg.sh

pg_make one
pg_dir_two=$T/two.pg
mkdir "$pg_dir_two" && { [ -z "$PGUSER_OS" ] || chown "$PGUSER_OS" "$pg_dir_two"; }
pg_as "$PGBIN/pg_basebackup" -D "$pg_dir_two/data" -h "$LO" -p 5432 -U postgres -R -X stream -C -S two -c fast \
    >"$T/basebackup" 2>&1 || fail "pg_basebackup: $(cat "$T/basebackup")"
cat >>"$pg_dir_two/data/postgresql.conf" <<EOF
port = 5433
unix_socket_directories = '$pg_dir_two'
EOF
pg_start two
standby() { [ "$(sql two 'SELECT pg_is_in_recovery()')" = t ]; }
wait_for 10 standby
# what is acknowledged is on both, so that nothing is lost with the primary
sql one "ALTER SYSTEM SET synchronous_standby_names = 'walreceiver'" && sql one 'SELECT pg_reload_conf()' >/dev/null
synchronous() { [ "$(sql one "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")" = 1 ]; }
wait_for 10 synchronous

vouch_make a address_verify_map="pgsql:postgresql://vouch@$LO:5432,$LO:5433/vouch?target_session_attrs=read-write" \
    verify_prefork_limit=2 service_throttle_time=1s address_verify_defer_refresh_time=3h address_verify_defer_expire_time=3d
vouch_make calm verify_prefork_limit=2 address_verify_defer_refresh_time=3h address_verify_defer_expire_time=3d
cleanupd_start a a --result '0:250 2.1.5 Ok'
vouch_start a
vouch_start calm
wait_for 10 logged a 'vouch at .*:5432: connected'
for i in a calm; do
	"$TOOLS/vload" -s "$(verify_socket $i)" -A 'known-%@load.test' -K 2000 -n 2000 -u 100 -c 4 >/dev/null || fail "cannot fill"
done

load_start a 8
sleep 1
pg_crash one
begin=$(now_ms)
sleep 1
sql two 'SELECT pg_promote()' >/dev/null
promoted=$(now_ms)
wait_for 8 logged a 'vouch at .*:5433: connected'
note "promoted after $((promoted - begin)) ms, in use $(($(now_ms) - promoted)) ms later"
load_end "promoted standby"
wait_for 20 back a two

# a full disk: the table lives on a file system of its own, of 3 MB
pg_kill one
if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=24m none "$T/small" 2>/dev/null; then
	at_exit "umount -l $T/small"
	chown "$PGUSER_OS" "$T/small"
	sql two "CREATE TABLESPACE small LOCATION '$T/small'" || fail "CREATE TABLESPACE"
	sql two "ALTER TABLE vouch_address SET TABLESPACE small; ALTER INDEX vouch_address_pkey SET TABLESPACE small;
	    ALTER INDEX vouch_address_changed SET TABLESPACE small" || fail "ALTER TABLE"
	wait_for 20 back a two
	: >"$T/a/log/vouch.log"
	load_start a 7
	sleep 1
	head -c 100000000 /dev/zero 2>/dev/null >"$T/small/ballast"
	wait_for 6 logged a 'its disk is full'
	sleep 2
	rm "$T/small/ballast"
	load_end "disk full"
	wait_for 20 back a two
else
	note "no disk to fill: needs root and the right to mount"
fi
