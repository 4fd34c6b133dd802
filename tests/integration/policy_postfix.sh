# policy_postfix - a real Postfix with check_policy_service: deferred, retried, known; what other restrictions make of it; a policy
# server that dies with a request in hand; null sender at DATA; verification; the same under Postfix's own master
. ./lib.sh
. ./lib_policy.sh
. ./lib_postfix.sh
need_postfix

# ---- the policy server: greylisting, each check alone, and one that only looks
GREY=$LO:10040 VERIFY=$LO:10041 BOTH=$LO:10042 LOOK=$LO:10043 LISTS=$LO:10044 SOFT=$LO:10045
vouch_make p greylist_delay=1s greylist_auto_allow_count=2 greylist_auto_allow_interval=1s greylist_auto_allow_domain_count=2 \
    greylist_exempt_networks=127.0.0.0/8 address_verify_hold_time=2500ms service_throttle_time=1s
policy_service p "$GREY" inet
policy_service p "$VERIFY" inet policy_checks=verify_recipient unverified_recipient_reject_code=550
policy_service p "$SOFT" inet policy_checks=verify_recipient
policy_service p "$BOTH" inet unverified_recipient_reject_code=550
policy_service p "$LOOK" inet greylist_mode=observe
cleanupd_start p probes --result 'good*=0:250 2.1.5 Ok' --result 'temp*=1:host mx.remote.test[192.0.2.9] said: 450 4.2.0 later' \
    --result '2:host mx.remote.test[192.0.2.9] said: 550 5.1.1 no such user'
vouch_start p
wait_for 10 policy_says 'DUNNO' "$GREY"

# ---- Postfix: one smtpd for each kind of use
postfix_make
here() { echo "check_policy_service { inet:$1, timeout=${3:-10s}${2:+, $2} }"; }
cat >"$PF/access" <<EOM
/^refused/	REJECT 5.7.9 by a later rule
/^welcome/	OK
/^undecided/	DUNNO
EOM
smtpd() {
	smtpd_port=$1 smtpd_rules=$2
	shift 2
	echo "$LO:$smtpd_port inet n - n - 1 smtpd"
	echo "  -o { smtpd_recipient_restrictions = reject_unauth_destination, $smtpd_rules }"
	for smtpd_option do
		echo "  -o { $smtpd_option }"
	done
}
{
	smtpd 2530 "$(here "$GREY")"
	smtpd 2531 "$(here "$GREY"), check_recipient_access regexp:$PF/access, permit"
	smtpd 2532 "$(here "$GREY")" "smtpd_data_restrictions = $(here "$GREY")"
	smtpd 2533 "$(here "$GREY" '' 2s)"
	smtpd 2534 "$(here "$GREY" default_action=DUNNO 2s)"
	smtpd 2535 "$(here "$VERIFY")"
	smtpd 2536 "$(here "$BOTH" '{ policy_context = verify_recipient greylist }')"
	smtpd 2537 "$(here "$LOOK")"
	smtpd 2538 "$(here "$GREY")" "smtpd_client_restrictions = $(here "$GREY")" "smtpd_sender_restrictions = $(here "$GREY")"
	smtpd 2540 "$(here "$SOFT"), check_recipient_access regexp:$PF/access"
	smtpd 2539 "check_policy_service unix:private/policy"
} >>"$PF/master.cf"
ln -s "$LIBEXEC/policy" "$T/policy"
postfix_service -M "policy/unix=policy unix - n n - 1 \
    $(postconf -c "$PF" -xh daemon_directory | sed 's,/[^/]*,../,g')${T#/}/policy"
echo '/^X-Greylist:/ WARN' >"$PF/headers"
postfix_set 2>/dev/null smtpd_recipient_restrictions=permit smtpd_authorized_xclient_hosts=127.0.0.0/8 "header_checks=regexp:$PF/headers" \
    "transport_maps=inline:{remote.test=discard:, dead.test=discard:}" greylist_delay=1s greylist_exempt_networks=127.0.0.0/8 \
    syslog_name=postfix
postfix_start

# from PORT ADDRESS NAME SENDER COMMAND... - a client of that address; the replies to what follows MAIL, without times, in $REPLIES
from() {
	from_port=$1 from_client="ADDR=$2 NAME=$3" from_sender=$4
	shift 4
	REPLIES=$("$TOOLS/smtpsay" "$LO" "$from_port" "XCLIENT $from_client" "EHLO client.test" "MAIL FROM:<$from_sender>" "$@" QUIT \
	    2>&1 | sed -e 1,4d -e 's/^[0-9]* //')
}
reply() { printf '%s\n' "$REPLIES" | sed -n "${1}p"; }
LATER='450 4.2.0 <*>: Recipient address rejected: Greylisted, please try again later'
retried() {
	from "$@"
	case $(reply 1) in
	250*)	return 0 ;;
	esac
	return 1
}
header() { grep -q "cleanup.*warning: header X-Greylist: delayed [0-9]* seconds by vouch at .*; .*from=<$1>" "$PFLOG"; }

# ---- first attempt, early, retry with its header
from 2530 192.0.2.25 unknown ann@one.example "RCPT TO:<bob@remote.test>"
want "first attempt" "$(reply 1)" "$LATER"
wait_for 10 retried 2530 192.0.2.77 unknown ann@one.example "RCPT TO:<bob@remote.test>" DATA "Subject: x
.
"
wait_for 5 header ann@one.example
from 2530 192.0.2.25 unknown ann@one.example "RCPT TO:<carl@remote.test>" DATA "Subject: y
."
want "a known sender, another recipient" "$(reply 1)" '250 2.1.5 Ok'
want "its message" "$(reply 3)" '250 2.0.0 Ok*'
want "headers" "$(grep -c 'warning: header X-Greylist' "$PFLOG")" 1

# ---- automatic allow-list: two good senders of a domain, two successes of a client network
for sender in a@two.example b@two.example; do
	from 2530 198.51.100.1 unknown $sender "RCPT TO:<bob@remote.test>"
	want "$sender, first attempt" "$(reply 1)" "$LATER"
	wait_for 10 retried 2530 198.51.100.1 unknown $sender "RCPT TO:<bob@remote.test>"
done
from 2530 198.51.100.1 unknown c@two.example "RCPT TO:<bob@remote.test>"
want "another sender of that domain" "$(reply 1)" '250 2.1.5 Ok'
from 2530 198.51.100.9 unknown any@three.example "RCPT TO:<bob@remote.test>"
want "any sender from that network" "$(reply 1)" '250 2.1.5 Ok'
from 2530 203.0.113.9 unknown any@three.example "RCPT TO:<bob@remote.test>"
want "the same from another network" "$(reply 1)" "$LATER"

# ---- with restrictions that follow: DEFER_IF_PERMIT leaves them the last word to reject, not to permit; DUNNO leaves them all
for client in 203.0.113.1 198.51.100.1; do
	from 2531 $client unknown x@four.example "RCPT TO:<refused@remote.test>" "RCPT TO:<welcome@remote.test>" \
	    "RCPT TO:<undecided@remote.test>"
	want "$client, then REJECT" "$(reply 1)" '554 5.7.9 <refused@remote.test>: Recipient address rejected: by a later rule'
	case $client in
	203*)	want "deferred, then OK" "$(reply 2)" "$LATER"
		want "deferred, then DUNNO" "$(reply 3)" "$LATER" ;;
	198*)	want "known, then OK" "$(reply 2)" '250 2.1.5 Ok'
		want "known, then DUNNO" "$(reply 3)" '250 2.1.5 Ok' ;;
	esac
done

# ---- the same question from three lists: one decision, one header
from 2538 203.0.113.40 unknown y@five.example "RCPT TO:<bob@remote.test>"
want "three lists" "$(reply 1)" '450 4.2.0 <unknown*>: Client host rejected: Greylisted*'
want "decisions" "$(grep -c 'greylist=.*from=<y@five.example>' "$T/p/log/vouch.log")" 1
wait_for 10 retried 2538 203.0.113.40 unknown y@five.example "RCPT TO:<bob@remote.test>" DATA "Subject: z
."
wait_for 5 header y@five.example
want "headers of that message" "$(grep -c 'warning: header X-Greylist.*from=<y@five.example>' "$PFLOG")" 1

# ---- null sender: at DATA, with one recipient
from 2532 203.0.113.60 unknown '' "RCPT TO:<bob@remote.test>" DATA
want "null sender at RCPT" "$(reply 1)" '250 2.1.5 Ok'
want "null sender at DATA" "$(reply 2)" '450 4.2.0 <DATA>: Data command rejected: Greylisted*'
from 2532 203.0.113.60 unknown '' "RCPT TO:<bob@remote.test>" "RCPT TO:<carl@remote.test>" DATA .
want "null sender, two recipients" "$(reply 3)" '354 *'
data_passes() {
	from 2532 203.0.113.60 unknown '' "RCPT TO:<bob@remote.test>" DATA .
	case $(reply 2) in
	354*)	return 0 ;;
	esac
	return 1
}
wait_for 10 data_passes

# ---- verification
from 2535 192.0.2.25 unknown ann@one.example "RCPT TO:<good1@remote.test>" "RCPT TO:<bad1@remote.test>" "RCPT TO:<temp1@remote.test>"
want "verified: good" "$(reply 1)" '250 2.1.5 Ok'
want "verified: unknown" "$(reply 2)" '550 5.1.1 <bad1@remote.test>: Recipient address rejected: undeliverable address: host mx.remote.test\[192.0.2.9\] said: 550 5.1.1 no such user'
want "verified: in doubt" "$(reply 3)" '450 4.1.1 <temp1@remote.test>: Recipient address rejected: unverified address: host mx.remote.test\[192.0.2.9\] said: 450 4.2.0 later'
# with Postfix's default code: as reject_unverified_recipient, deferred unless a later rule rejects
from 2540 192.0.2.25 unknown ann@one.example "RCPT TO:<bad1@remote.test>" "RCPT TO:<refused@remote.test>"
want "unknown, 450" "$(reply 1)" '450 4.1.1 <bad1@remote.test>: Recipient address rejected: unverified address: host mx.remote.test\[192.0.2.9\] said: 550 5.1.1 no such user'
want "unknown, 450, and refused" "$(reply 2)" '554 5.7.9 <refused@remote.test>: Recipient address rejected: by a later rule'
from 2536 198.18.1.80 unknown z@six.example "RCPT TO:<bad2@remote.test>" "RCPT TO:<good2@remote.test>"
want "unknown, before greylisting" "$(reply 1)" '550 5.1.1 <bad2@remote.test>: *'
want "good, then greylisting" "$(reply 2)" "$LATER"
want "greylisted of these" "$(grep -c 'greylist=.*from=<z@six.example>' "$T/p/log/vouch.log")" 1

# ---- observe
from 2537 198.18.2.99 unknown w@seven.example "RCPT TO:<bob@remote.test>"
want "observe mode" "$(reply 1)" '250 2.1.5 Ok'
grep -q 'greylist=defer reason=new .*from=<w@seven.example>.*mode=observe' "$T/p/log/vouch.log" || fail "observe mode: no log line"

# ---- killed with a request in hand, on a connection it had accepted; nobody starts another one, for the time being
# in_hand PORT - bytes that a policy server of ours has been sent and has not read
in_hand() {
	hand_at=$(echo "$LO.$1" | awk -F . '{ printf "%02X%02X%02X%02X:%04X", $4, $3, $2, $1, $5 }')
	awk -v at="$hand_at" '$2 == at && $4 == "01" && $5 !~ /:00000000$/ { n++ } END { exit n == 0 }' /proc/net/tcp
}
killed() {
	: >"$T/killed"				# from now on only what this one is told
	wait_for 10 policy_says DUNNO "$GREY"
	from "$1" 198.51.100.1 unknown x@four.example "RCPT TO:<bob@remote.test>"
	want "$1 has its connection" "$(reply 1)" '250 2.1.5 Ok'
	killed_master=$(tr -d ' ' <"$T/p/queue/pid/master.pid")
	kill -STOP "$killed_master"
	at_exit "kill -CONT $killed_master 2>/dev/null"
	for killed_pid in $(workers "$T/p/queue" policy); do
		kill -STOP "$killed_pid"
	done
	"$TOOLS/smtpsay" "$LO" "$1" "XCLIENT ADDR=198.18.3.120 NAME=unknown" "EHLO client.test" "MAIL FROM:<v@$1.example>" \
	    "RCPT TO:<bob@remote.test>" "RCPT TO:<carl@remote.test>" QUIT >"$T/killed" 2>&1 &
	killed_say=$!
	wait_for 10 in_hand 10040
	for killed_pid in $(workers "$T/p/queue" policy); do
		kill -KILL "$killed_pid"
	done
	rcpt_replied() { [ "$(wc -l <"$T/killed")" -ge 5 ]; }
	wait_for 20 rcpt_replied
	kill -CONT "$killed_master"
	wait $killed_say
	REPLIES=$(sed -e 1,4d -e 's/^[0-9]* //' "$T/killed")
}
killed 2533
want "killed, default action" "$(reply 1)" '451 4.3.5 <bob@remote.test>: Recipient address rejected: Server configuration problem'
want "the next request" "$(reply 2)" "$LATER"
killed 2534
want "killed, default_action=DUNNO" "$(reply 1)" '250 2.1.5 Ok'
want "the next request" "$(reply 2)" "$LATER"

# ---- under Postfix's own master
from 2539 192.0.2.25 unknown ann@one.example "RCPT TO:<bob@remote.test>"
want "Postfix's master, first attempt" "$(reply 1)" "$LATER"
wait_for 10 retried 2539 192.0.2.25 unknown ann@one.example "RCPT TO:<bob@remote.test>"
postfix_reload 2>/dev/null || fail "postfix reload: exit $?"
from 2539 192.0.2.25 unknown ann@one.example "RCPT TO:<carl@remote.test>"
want "Postfix's master, after a reload" "$(reply 1)" '250 2.1.5 Ok'
log_clean "$PFLOG" "policy.*(warning|error):|throttling"
log_clean "$(vouch_log p)" "policy.*(warning|error):"
