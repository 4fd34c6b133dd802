# smtpd_verify - smtpd(8) with verify and probe: unknown recipients refused with their reason at the first RCPT, senders checked, by
# verify and by smtpcbd; domains that cannot receive mail; verify away; callouts of others; greylisting with policy(8)
. ./lib.sh
. ./lib_probe.sh
. ./lib_smtpd.sh

dnsd_start "ours.test MX 10 mx1.ours.test" "mx1.ours.test A $LO" "good.test MX 10 mx1.ours.test" "null.test MX 0 ." \
    "dead.test MX 10 mx.dead.test" "mx.dead.test A 127.0.0.99" "broken.test SERVFAIL" "private.test MX 10 mx.private.test" \
    "mx.private.test A 10.1.2.3" "public.test MX 10 mx.public.test" "mx.public.test A 203.0.113.1"
mxd_start a "$LO" 2599 -r 'bad=550 5.1.1 no such user' -r 'slow=+700 250 2.1.5 Ok' -r 'mute=silent'
smtpd_make s relay "resolvable_fromhost reserved 0" "verify_sender wait 4" "verify_rcpt wait 4" rcpt_ok queue/discard
printf 'ours.test\nd.test\n' >"$T/s/etc/rcpthosts"
vouch_set s address_verify_hold_time=2500ms smtpd_dns_servers="$DNS"
vouch_probe s probe_dns_servers="$DNS" probe_smtp_port=2599 probe_reject_reserved_mx=no probe_domain_rate_limit=0 \
    probe_provider_rate_limit=0 smtp_tls_security_level=none probe_host_concurrency_limit=20 \
    probe_destination_concurrency_limit=20 probe_provider_concurrency_limit=20
echo "$LO:4571 inet n - n - 1 smtpcbd" >>"$T/s/etc/master.cf"
vouch_start s

# the first RCPT of an address that nobody has ever asked about has the answer
said=$(says 2525 'EHLO c.test' 'MAIL FROM:<ann@good.test>' 'RCPT TO:<bad1@ours.test>' 'RCPT TO:<bob@ours.test>' 'RCPT TO:<slow1@ours.test>' \
    'RCPT TO:<x@strange.test>' QUIT)
note "$said"
want "sender" "$(reply 3 "$said")" "250 2.1.0 *"
want "unknown recipient" "$(reply 4 "$said")" \
    "550 5.1.1 Recipient address <bad1@ours.test> is refused by mx1.ours.test\[$LO\]: 550 5.1.1 no such user (known since *"
want "known recipient" "$(reply 5 "$said")" "250 2.1.5 *"
want "slow recipient" "$(reply 6 "$said")" "250 2.1.5 *"
want "strange recipient" "$(reply 7 "$said")" "550 5.7.1 Relaying is not allowed"
! grep -q 'probe\[.*to=<x@strange.test>' "$(vouch_log s)" || fail "a stranger's recipient was probed"

# senders: from the server, from the domain, in time, not at all
sender() { reply "$1" "$(says 2525 'EHLO c.test' "MAIL FROM:<$2>" 'RCPT TO:<bob@ours.test>' QUIT)"; }
want "bad sender" "$(sender 4 bad2@good.test)" "550 5.1.8 Sender address <bad2@good.test> is refused by mx1.ours.test\[$LO\]: 550 5.1.1 *"
want "no answer" "$(sender 4 mute@good.test)" "450 4.1.8 Sender address <mute@good.test> cannot be verified now: address verification in progress"
want "unreachable" "$(sender 4 x@dead.test)" "450 4.1.8 Sender address <x@dead.test> cannot be verified now: connect to mx.dead.test*refused*"
want "no such domain" "$(sender 3 x@nowhere.test)" "550 5.1.8 Sender address: Host or domain name not found. *"
want "null MX" "$(sender 3 x@null.test)" "550 5.1.8 Sender address: Domain null.test does not accept mail (nullMX)"
want "name server trouble" "$(sender 3 x@broken.test)" "450 4.1.8 Sender address: Host or domain name not found. *"
want "null sender" "$(sender 4 '')" "250 2.1.5 *"

# callouts of others: for our probe sender, and with the null sender; never probed
said=$(says 2525 'EHLO c.test' 'MAIL FROM:<>' 'RCPT TO:<double-bounce@mx.test>' 'RSET' 'MAIL FROM:<>' 'RCPT TO:<bad3@ours.test>' QUIT)
want "our probe sender" "$(reply 4 "$said")" "250 2.1.5 *"
want "a callout" "$(reply 7 "$said")" "250 2.1.5 *"
! grep -q 'probe\[.*to=<bad3@ours.test>' "$(vouch_log s)" || fail "a callout made us probe"

# through smtpcbd; reserved addresses; relay clients are spared
smtpd_plugins s resolvable_fromhost "verify_sender smtpcbd $LO:4571 wait 4" rcpt_ok queue/discard
vouch_set s smtpcbd_wait=3s
vouch_reload s || fail "reload"
reserved() { case $(sender 3 x@private.test) in "550 5.1.8 "*) return 0 ;; esac; return 1; }
wait_for 10 reserved
smtpd_plugins s "verify_sender smtpcbd $LO:4571 wait 4" rcpt_ok queue/discard
vouch_reload s || fail "reload"
through() { case $(sender 4 bad4@good.test) in "550 5.1.8 Sender address <bad4@good.test> is refused by mx1.ours.test"*) return 0 ;; esac; return 1; }
wait_for 10 through
grep -q 'smtpcbd.*addr=<bad4@good.test>, code=FAIL' "$(vouch_log s)" || fail "smtpcbd was not asked"

# relay clients are spared, and may send to anywhere
echo 127.0.0.0/8 >"$T/s/etc/relayclients"
smtpd_plugins s relay verify_sender rcpt_ok queue/discard
vouch_reload s || fail "reload"
spared() { case $(reply 4 "$(says 2525 'EHLO c.test' 'MAIL FROM:<bad5@good.test>' 'RCPT TO:<x@strange.test>' QUIT)") in 250*) return 0 ;; esac; return 1; }
wait_for 10 spared

# verify away: never a hang
smtpd_plugins s "verify_rcpt wait 2" rcpt_ok queue/discard
vouch_set s address_verify_hold_time=0s
sed -i 's/^verify /#verify /' "$T/s/etc/master.cf"
vouch_stop s
rm -f "$T/s/data/verify_cache.vouch"
vouch_start s
begin=$(now_ms)
said=$(says 2525 'EHLO c.test' 'MAIL FROM:<ann@good.test>' 'RCPT TO:<fresh@ours.test>' QUIT)
want "verify is away" "$(reply 4 "$said")" "450 4.1.1 Recipient address <fresh@ours.test> cannot be verified now, try again later"
note "verify away: answered after $(($(now_ms) - begin)) ms"
smtpd_plugins s "verify_rcpt wait 2 unavailable pass" rcpt_ok queue/discard
vouch_reload s || fail "reload"
passes() { case $(reply 4 "$(says 2525 'EHLO c.test' 'MAIL FROM:<ann@good.test>' 'RCPT TO:<fresh@ours.test>' QUIT)") in 250*) return 0 ;; esac; return 1; }
wait_for 15 passes

# greylisting: the same records as policy(8), which is asked through the plugin policy
smtpd_plugins s greylisting rcpt_ok queue/discard
echo "policy unix - n n - 1 policy" >>"$T/s/etc/master.cf"
vouch_set s greylist_delay=1s greylist_exempt_networks= mynetworks=
vouch_stop s
vouch_start s
grey() { reply 4 "$(says 2525 'EHLO c.test' "MAIL FROM:<g@$1.test>" "RCPT TO:<g@ours.test>" QUIT)"; }
grey_is() { case $(grey "$1") in $2) return 0 ;; esac; return 1; }
want "first attempt" "$(grey one)" "450 4.2.0 Greylisted*"
wait_for 10 grey_is one "250*"
want "first attempt of another" "$(grey two)" "450 4.2.0 Greylisted*"
smtpd_plugins s "policy unix:$T/s/queue/private/policy" rcpt_ok queue/discard
vouch_reload s || fail "reload"
by_policy() { grey "$(now_ms)" >/dev/null; grep -q 'policy\[.*reason=' "$(vouch_log s)"; }
wait_for 10 by_policy
wait_for 10 grey_is two "250*"
want "a third one" "$(grey three)" "450 4.2.0 Greylisted*"
vouch_stop s
mxd_stop a
log_clean "$(vouch_log s)"
