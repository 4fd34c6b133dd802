# postfix_postscreen - Postfix's postscreen(8) tests clients and hands their connections to smtpd(8), a service of type pass under
# Postfix's own master: the client's address is the one that postscreen tells, and a session goes on where postscreen has left it
. ./lib.sh
. ./lib_postfix.sh
. ./lib_smtpd.sh
need_postfix

postfix_make
install -d -m 755 "$T/plugins"
install -m 755 "$TOOLS"/../../plugins/*.so "$T/plugins"
install -d -m 700 -o postfix "$T/box"
printf 'rcpt_test\nqueue_maildir %s\n' "$T/box" >"$PF/plugins"
ln -sfn "$LIBEXEC/smtpd" "$T/smtpd"
sed -i "/^$LO:2525/d" "$PF/master.cf"
cat >>"$PF/master.cf" <<EOM
$LO:2525   inet  n - n - 1 postscreen
smtpd      pass  - - n - 1 ../../../../../../../..$T/smtpd -o smtpd_plugin_directory=$T/plugins -o smtpd_plugins=$PF/plugins
dnsblog    unix  - - n - 0 dnsblog
tlsproxy   unix  - - n - 0 tlsproxy
EOM
# this host's networks are not tested, but handed over at once: test them
postfix_set postscreen_access_list= postscreen_greet_action=enforce postscreen_greet_wait=2s postscreen_greet_ttl=1h \
    postscreen_dnsbl_sites= postscreen_cache_map=internal:ps
postfix_start

# the first time the client is tested, the second time handed over: postscreen's cache
says 2525 'EHLO c.test' QUIT >"$T/first" 2>&1
handed() { says 2525 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<c@d.test>' DATA . QUIT >"$T/said" 2>&1 && grep -q '^250 2.6.0' "$T/said"; }
wait_for 20 handed
want "the greeting" "$(sed -n 1p "$T/said")" "220 mx.verify.test ESMTP*"
accepted() { grep -q "smtpd.*client=unknown\\[127.0.0.1\\] helo=<c.test> .*status=accepted" "$PFLOG"; }	# written after the reply
try_for 10 accepted || fail "no line of smtpd: $(tail -n 3 "$PFLOG")"
[ "$(find "$T/box/new" -type f | wc -l)" -ge 1 ] || fail "nothing was delivered"
exe=$(readlink "/proc/$(workers "$PFQ" smtpd | head -n 1)/exe")
want "the program that serves" "$exe" "$(readlink -f "$LIBEXEC/smtpd")"
log_clean "$PFLOG"
