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

for h in a b; do
	vouch_stop $h
	log_clean "$T/$h/log/vouch.log"
done
