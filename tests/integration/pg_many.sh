# pg_many - commands that change thousands of rows of the database: each host takes notice of each of them
# limit: 240
. ./lib.sh
. ./lib_pg.sh
. ./lib_policy.sh

N=3500
pg_make one
for h in a b; do
	vouch_pg $h one greylist_exempt_networks=127.0.0.0/8 greylist_pending_limit=0 policy_prefork_limit=1
	policy_service $h policy unix
	vouch_start $h
done
v() { lib_name=$1; shift; "$BIN/vouch" -c "$T/$lib_name/etc" "$@"; }
agreed() { grep -q 'greylisting uses the secret of the database' "$T/a/log/vouch.log" "$T/b/log/vouch.log"; }
connected() { [ "$(sql one "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'vouch/policy%'")" -ge 2 ]; }
wait_for 20 connected
wait_for 20 agreed

# ---- greylisting records are forgotten: on the other host, too, however many there are, while others change ----
here() { v "$1" greylist list --pending --local | wc -l; }
has() { [ "$(here "$1")" -eq "$2" ]; }
"$TOOLS/pload" -n $N -K $N -x DEFER_IF_PERMIT "$T/a/queue/private/policy" >"$T/load" 2>&1 || fail "load: $(cat "$T/load")"
wait_for 20 has b $N
for n in 1 2 3 4 5; do
	v b greylist allow 198.51.100.$n "ann@x$n.test" >"$T/out" 2>&1 || fail "allow: $(cat "$T/out")"
done
v a greylist forget --pending >"$T/out" 2>&1 || fail "forget: $(cat "$T/out")"
same "forgotten" "$(cat "$T/out")" "vouch: $N records forgotten; every host takes notice within address_verify_sync_interval"
wait_for 10 has b 0
has a 0 || fail "a still has $(here a)"

# ---- an import that takes its time, while others change: results that a host has are replaced by those that are newer ----
now=$(date +%s)
known() { answers "$(verify_socket b)" known@import.test "$1"; }
printf 'address,status,probed,updated,text\nknown@import.test,bounce,0,%s,old\n' $((now - 1000)) | v a import - >"$T/out" 2>&1 ||
    fail "import: $(cat "$T/out")"
wait_for 5 known '2 old'
mkfifo "$T/fifo"
v a import - <"$T/fifo" >"$T/import" 2>&1 &
import=$!
exec 9>"$T/fifo"
importing() { [ "$(sql one "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'vouch@%' OR application_name = 'vouch'")" = 1 ]; }
wait_for 10 importing
# until b has read so far that what is older would not be read any more
begun=$(now_ms) n=0
passed() {
	n=$((n + 1))
	"$TOOLS/vload" -s "$(verify_socket a)" -A "other$n@import.test" -n 1 -u 100 >/dev/null 2>&1
	[ "$(now_ms)" -gt $((begun + 5000)) ]
}
wait_for 20 passed
printf 'address,status,probed,updated,text\nknown@import.test,ok,0,%s,new\n' $((now - 10)) >&9
exec 9>&-
wait $import || fail "import: $(cat "$T/import")"
same "import" "$(cat "$T/import")" "vouch: imported=1 known=0 unfinished=0 bad=0"
wait_for 10 known '0 new'
for h in a b; do
	vouch_stop $h
	log_clean "$T/$h/log/vouch.log"
done
