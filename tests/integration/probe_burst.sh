# probe_burst - 20,000 fresh addresses at once, through verify and probe(8), with MX look-up: none lost, each asked once, and the
# servers see no more sessions at a time than the limits allow
. ./lib.sh
. ./lib_probe.sh

# other_lo K - further loopback addresses that no other test uses
other_lo() { echo "$LO" | awk -F . -v k="$1" '{ print $1 "." $2 + 64 * k "." $3 "." $4 }'; }
LO2=$(other_lo 1) LO3=$(other_lo 2)

# two domains share a server; one has a server of its own, one is reached by a route of ours
dnsd_start "a.test MX 10 mx.one.test" "b.test MX 10 mx.one.test" "mx.one.test A $LO" "c.test MX 10 mx.two.test" \
    "mx.two.test A $LO2"
for server in "one $LO" "two $LO2" "three $LO3"; do
	mxd_start "${server% *}" "${server#* }" 2525
	eval "${server% *}=$MXD"
done
vouch_make p
vouch_probe p probe_dns_servers="$DNS" probe_smtp_port=2525 probe_reject_reserved_mx=no smtp_tls_security_level=none \
    probe_domain_rate_limit=0 probe_provider_rate_limit=0 probe_destination_concurrency_limit=2 probe_host_concurrency_limit=3 \
    probe_own_host_concurrency_limit=5 "transport_maps=inline:{d.test=smtp:[$LO3]}"
vouch_workers p 2
vouch_start p
S=$(verify_socket p)

# the pending limit is that of the defaults, 5,000: what is above it waits with the submitter
begin=$(now_ms)
loads=
for domain in a b c d; do
	"$TOOLS/vload" -s "$S" -c 16 -n 5000 -K 5000 -A "u%@$domain.test" -t 60 >"$T/$domain.vload" &
	loads="$loads $!"
done
for load in $loads; do
	wait "$load" || fail "vload: $(cat "$T"/*.vload)"
done
note "20,000 queries answered after $(($(now_ms) - begin)) ms"
# most at a time are never more than the limit, so it is looked at while they come, too
all_ok() { [ "$(counter p probe_ok)" -ge 20000 ]; }
wait_for 60 all_ok
note "20,000 verdicts after $(($(now_ms) - begin)) ms"
for domain in a b c d; do
	vload -s "$S" -c 16 -n 5000 -K 5000 -A "u%@$domain.test" -t 60 || fail "vload: $LOAD"
	want "verdicts of $domain.test" "$(is ok "$LOAD")" 5000
done
want "verdicts in the log" "$(grep -c 'status=deliverable' "$(vouch_log p)")" 20000
vouch_stop p

# server NAME PID SESSIONS RCPTS SESSION_RCPTS - what it has seen
server() {
	stop_pid "$2"
	seen=$(tail -n 1 "$T/$1.mxd")
	note "$1: $seen"
	[ "$(is open_max "$seen")" -le "$3" ] || fail "$1: more than $3 sessions at a time"
	[ "$(is session_rcpts_max "$seen")" -le "$5" ] || fail "$1: more than $5 recipients in a session"
	want "$1: recipients, DATA, odd commands" "$(is rcpts "$seen") $(is data "$seen") $(is odd "$seen")" "$4 0 0"
}
# shellcheck disable=SC2154
{
	server one "$one" 3 10000 20
	server two "$two" 2 5000 20
	server three "$three" 5 5000 200
}
log_clean "$(vouch_log p)"
