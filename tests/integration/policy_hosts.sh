# policy_hosts - two hosts, one database: greylisted on one, retried on the other; the database stopped in between; unknown triplets
# while it is away; what a host learnt meanwhile
# limit: 240
. ./lib.sh
. ./lib_pg.sh
. ./lib_policy.sh

pg_make one
for h in a b; do
	# a database without an answer in time is as good as none; and no host has heard of a triplet by chance, just before it is away
	vouch_pg $h one greylist_delay=5s address_verify_sync_interval=10m greylist_map_timeout=10s address_verify_map_timeout=10s \
	    greylist_exempt_networks=127.0.0.0/8 policy_prefork_limit=1
	policy_service $h policy unix
	vouch_start $h
done
A=$T/a/queue/private/policy B=$T/b/queue/private/policy
LATER='DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later' PASS='PREPEND X-Greylist: delayed * seconds by vouch at *'
# mail WHERE PATTERN SENDER RECIPIENT [CLIENT]; comes: for wait_for
mail() { policy_want "$2" "$1" client_address="${5:-192.0.2.25}" client_name=unknown "sender=$3" "recipient=$4"; }
comes() { policy_says "$2" "$1" client_address="${5:-192.0.2.25}" client_name=unknown "sender=$3" "recipient=$4"; }
# keys are hashed with a secret of the site, which the first host brings and the others take over
agreed() { grep -q 'greylisting uses the secret of the database' "$T/a/log/vouch.log" "$T/b/log/vouch.log"; }
connected() { [ "$(sql one "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'vouch/policy%'")" -ge 2 ]; }
wait_for 20 connected
wait_for 20 agreed

# greylisted on one, retried on the other
mail "$A" "$LATER" ann@x.example bob@y.example
mail "$B" "$LATER" ann@x.example bob@y.example
wait_for 10 comes "$B" "$PASS" ann@x.example bob@y.example
# the pass is answered before the database has it: a asks there when it does
passed() { [ "$(sql one "SELECT count(*) FROM vouch_greylist WHERE id LIKE 'S%'")" -ge 1 ]; }
wait_for 10 passed
mail "$A" DUNNO ann@x.example carl@y.example
decided() { cat "$T/a/log/vouch.log" "$T/b/log/vouch.log" | grep -c "greylist=$1 reason=$2 "; }
want "new" "$(decided defer new)" 1

# the same many at once on both: one record each; then all pass, on either
vload_both() {
	"$TOOLS/pload" -n 2000 -K 2000 -x "$1" "$A" >"$T/load.a" 2>&1 &
	vload_a=$!
	"$TOOLS/pload" -n 2000 -K 2000 -x "$1" "$B" >"$T/load.b" 2>&1 || fail "b: $(cat "$T/load.b")"
	wait $vload_a || fail "a: $(cat "$T/load.a")"
}
vload_both DEFER_IF_PERMIT
note "a: $(cat "$T/load.a")"
recorded() { [ "$(sql one "SELECT count(*) FROM vouch_greylist WHERE id LIKE 'T%' AND passed = 0")" = 2000 ]; }
begun=$(date +%s)
wait_for 20 recorded
# every one's delay is over, whoever of the two began it, and on any clock: time(2) is up to a tick behind date
aged() { [ $(($(date +%s) - begun)) -gt 5 ]; }
wait_for 10 aged
mail "$A" "P*" user000001999@sender1999.example bob@example.com 11.0.249.25
"$TOOLS/pload" -n 1999 -K 1999 -x PREPEND "$B" >"$T/load.pass" 2>&1 || fail "b: $(cat "$T/load.pass")"
before=$(decided defer '.*')
"$TOOLS/pload" -n 2000 -K 2000 "$A" >"$T/load.known" 2>&1 || fail "a: $(cat "$T/load.known")"
want "deferred on a" "$(decided defer '.*')" "$before"
# rows written together are each as they are to be: a network's members are hours, a domain's its senders, of which ids tell a part
written() { [ "$(vouch_stat a greylist_records_pinned)$(vouch_stat b greylist_records_pinned)" = 00 ]; }
wait_for 20 written
want "bad rows" "$(vouch_stat a db_bad_rows)$(vouch_stat b db_bad_rows)" 00
hour=$(($(date +%s) / 3600))
wrong_networks() {
	sql one "SELECT count(*) FROM vouch_greylist WHERE left(id, 1) = 'C'
	    AND members NOT IN ('$(printf '%08x,' $hour)', '$(printf '%08x,' $((hour - 1)))', '$(printf '%08x,%08x,' $((hour - 1)) $hour)')"
}
want "networks with other members" "$(wrong_networks)" 0
wrong_domains() {
	sql one "WITH sender AS (SELECT client, encode(convert_to(reverse(substr(id, 2, 4)), 'UTF8'), 'hex') || ',' AS member
	    FROM vouch_greylist WHERE left(id, 1) = 'S')
	    SELECT count(*) FROM vouch_greylist AS d WHERE left(id, 1) = 'D'
	    AND NOT EXISTS (SELECT FROM sender AS s WHERE s.client = d.client AND s.member = d.members)"
}
want "networks and domains" "$(sql one "SELECT count(*) > 2000 FROM vouch_greylist WHERE left(id, 1) IN ('C', 'D')")" t
want "domains with other members" "$(wrong_domains)" 0

# the database stops between attempt and retry
mail "$A" "$LATER" dan@x2.example bob@y.example
mail "$A" "$LATER" eve@x3.example bob@y.example
pg_stop one
wait_for 10 comes "$A" "$PASS" dan@x2.example bob@y.example
mail "$A" DUNNO dan@x2.example carl@y.example
mail "$B" DUNNO eve@x3.example bob@y.example		# b cannot know that it is waiting: never more deferrals because of it
mail "$B" DUNNO new@x4.example bob@y.example 198.51.100.7
want "unknown because of it" "$(decided pass store-unavailable)" 2
want "warnings" "$(grep -c 'policy.*warning:.*database' "$T/b/log/vouch.log")" '[12]'
mail "$A" "DUNNO" ann@x.example zoe@y.example

# and returns: what was learnt here is known there, what was begun is a retry
pg_start one
wait_for 20 connected
wait_for 20 comes "$B" "DUNNO" dan@x2.example emil@y.example
wait_for 20 comes "$A" "[PD]*" new@x4.example bob@y.example 198.51.100.7
wait_for 10 comes "$B" DUNNO new@x4.example carl@y.example 198.51.100.7
for h in a b; do
	vouch_stop $h
	log_clean "$T/$h/log/vouch.log"
done
