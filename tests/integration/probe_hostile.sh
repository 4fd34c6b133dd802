# probe_hostile - name servers and mail servers that do what they should not, together: each address has a verdict before the
# deadline, the process stays, and servers that are well are believed
. ./lib.sh
. ./lib_probe.sh

DOMAINS=60 EACH=40

# other_lo K - further loopback addresses that no other test uses
other_lo() { echo "$LO" | awk -F . -v k="$1" '{ print $1 "." $2 + 64 * (k % 3) "." $3 "." ($4 + int(k / 3)) % 250 + 1 }'; }
# zone_of I - what the name server says about domain number I
zone_of() {
	d=d$1.test
	case $(($1 % 12)) in
	0)	echo "$d MX 10 brief.test" ;;				# 421 after three recipients
	1)	echo "$d MX 10 closes.test" && echo "$d MX 20 brief.test" ;;
	2)	echo "$d MX 10 slow.test" && echo "$d MX 10 endless.test" ;;
	3)	echo "$d CNAME $d" ;;
	4)	echo "$d CNAME d$((($1 + 12) % DOMAINS)).test" ;;	# all of these in a ring
	5)	echo "$d GARBAGE" ;;
	6)	echo "$d TIMEOUT" ;;
	7)	echo "$d HALF" && echo "$d MX 5 brief.test" ;;
	8)	echo "$d MX 10 nowhere.test" && echo "$d MX 20 blocks.test" ;;
	9)	echo "$d TRUNCATE" && seq 80 | sed "s/.*/$d MX & x&.test/" && echo "$d MX 99 slow.test" ;;
	10)	echo "$d SERVFAIL" ;;
	11)	echo "$d MX 10 endless.test" && echo "$d DELAY 300" ;;
	esac
}

set -- "good.test MX 10 mx.good.test" "mx.good.test A $LO"
k=0
for host in brief closes slow endless blocks; do
	set -- "$@" "$host.test A $(other_lo $k)"
	k=$((k + 1))
done
for i in $(seq 0 $((DOMAINS - 1))); do
	zone_of "$i"
done >"$T/domains"
while read -r fact; do
	set -- "$@" "$fact"
done <"$T/domains"
dnsd_start "$@"
mxd_start good "$LO" 2525 -r 'bad=550 5.1.1 no such user'
mxd_start brief "$(other_lo 0)" 2525 -p -c 3
mxd_start closes "$(other_lo 1)" 2525 -r '=close'
mxd_start slow "$(other_lo 2)" 2525 -r 'u0000000=silent' -r '=+20 451 4.3.0 no'
mxd_start endless "$(other_lo 3)" 2525 -g "$(printf '220-%03000d\r\n\001\377' 1)"
mxd_start blocks "$(other_lo 4)" 2525 -r '=550 5.7.1 blocked'

vouch_make p
vouch_probe p probe_dns_servers="$DNS" probe_smtp_port=2525 probe_reject_reserved_mx=no smtp_tls_security_level=none \
    probe_domain_rate_limit=0 probe_provider_rate_limit=0 probe_dns_timeout=300ms probe_attempt_time_limit=2s probe_deadline=10s
vouch_start p
# probe_pid - the process is there, and bears its name
probe_pid() { pid=$(pgrep -n -P "$(tr -d ' ' <"$T/p/queue/pid/master.pid")" -x probe); [ -n "$pid" ]; }
wait_for 10 probe_pid
S=$(verify_socket p)

begin=$(now_ms)
for i in $(seq 0 $((DOMAINS - 1))); do
	vload -s "$S" -c 4 -n $EACH -K $EACH -A "u%@d$i.test" -t 60 || fail "d$i.test: $LOAD"
done
# in the middle of it all, those who are well are asked, and believed
verdict p ann@good.test 10 'deliverable (250 2.1.5 Ok)'
verdict p bad@good.test 10 'undeliverable (host mx.good.test*550 5.1.1 no such user*'
note "good.test answered $(($(now_ms) - begin)) ms after the first query"
decided() { [ $(($(counter p probe_ok) + $(counter p probe_defer) + $(counter p probe_bounce))) -ge $((DOMAINS * EACH + 2)) ]; }
wait_for 60 decided
note "$((DOMAINS * EACH)) verdicts after $(($(now_ms) - begin)) ms"
for i in $(seq 0 $((DOMAINS - 1))); do
	vload -s "$S" -c 4 -n $EACH -K $EACH -A "u%@d$i.test" -t 60 || fail "d$i.test: $LOAD"
	want "d$i.test: in progress, undeliverable" "$(is todo "$LOAD") $(is bounce "$LOAD")" "0 0"
done
# each once: nothing is asked or reported twice
want "addresses in the log" "$(grep -o 'to=<u[^>]*>' "$(vouch_log p)" | sort -u | wc -l)" $((DOMAINS * EACH))
want "verdicts in the log" "$(grep -c 'to=<u' "$(vouch_log p)")" $((DOMAINS * EACH))
want "the process" "$(pgrep -n -P "$(tr -d ' ' <"$T/p/queue/pid/master.pid")" -x probe)" "$pid"
vouch_stop p
log_clean "$(vouch_log p)" 'killed by'
