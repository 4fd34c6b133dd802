# pg_full.sh - no room for the database's write-ahead log: PostgreSQL stops itself; every request is answered, and all is there in
# the end. (No room for the table: pg_failover.)
. ./lib.sh
. ./lib_pg.sh
need_root

pg_make one
dir=$(pg_dir one)
pg_stop one
mkdir "$T/wal" && mount -t tmpfs -o size=96m none "$T/wal" 2>/dev/null || skip "needs the right to mount"
at_exit "umount -l $T/wal"
cp -a "$dir/data/pg_wal/." "$T/wal" && rm -r "$dir/data/pg_wal" && ln -s "$T/wal" "$dir/data/pg_wal" || fail "cannot move pg_wal"
chown "$PGUSER_OS" "$T/wal"
chmod 700 "$T/wal"
printf 'max_wal_size = 48MB\nmin_wal_size = 32MB\n' >>"$dir/data/postgresql.conf"
pg_start one

for h in a calm; do
	vouch_make $h verify_prefork_limit=2 service_throttle_time=1s address_verify_defer_refresh_time=3h address_verify_defer_expire_time=3d
done
vouch_set a address_verify_map="$(map one)"
cleanupd_start a a --result '0:250 2.1.5 Ok'
for h in a calm; do
	vouch_start $h
done
wait_for 10 logged a ': connected'
for h in a calm; do
	"$TOOLS/vload" -s "$(verify_socket $h)" -A 'known-%@load.test' -K 2000 -n 2000 -u 100 -c 4 >/dev/null || fail "cannot fill"
done
: >"$T/a/log/vouch.log"
load_start a 7
sleep 1
head -c 100000000 /dev/zero 2>/dev/null >"$T/wal/ballast"
full() {
	sql one 'SELECT pg_switch_wal()' >/dev/null 2>&1	# the next segment is wanted sooner
	logged a 'warning: database .*: answering from this host'
}
wait_for 15 full
note "$(grep -m 1 'warning: database' "$T/a/log/vouch.log" | sed 's/.*database vouch at [^ ]* //')"
grep -q 'No space left' "$dir/log" || fail "the disk was not what stopped it: $(tail -n 5 "$dir/log")"
sleep 1
rm "$T/wal/ballast"
up() { pg_up one; }
if ! try_for 3 up; then			# it cannot mend itself: an administrator starts it again
	pg_crash one
	pg_start one
fi
load_end "no room for the log"
wait_for 20 back a one
