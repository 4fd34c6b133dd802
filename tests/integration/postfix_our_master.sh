# postfix_our_master.sh - our own master serves the private/verify of a Postfix queue directory, whose master.cf has no verify
# Two masters cannot share one queue directory (they take the same lock), so ours has its own, and two symbolic links join
# them: Postfix's private/verify leads to our socket, our public/cleanup to Postfix's.
. ./lib.sh
. ./lib_postfix.sh
need_postfix

postfix_make
postfix_service -MX verify/unix
postfix_start
[ ! -e "$PFQ/private/verify" ] || fail "Postfix still has a verify service"

vouch_make own mail_owner=postfix setgid_group=postdrop syslog_name=own
chown -R postfix "$T/own/data"
chown root "$T/own/queue"
rm -rf "$T/own/queue/"*			# start makes the parts, with the owners that main.cf names now
vouch_start own
ln -s "$PFQ/public/cleanup" "$T/own/queue/public/cleanup"
ln -s "$T/own/queue/private/verify" "$PFQ/private/verify"

postfix_dialogue a
# our reload and Postfix's, in use
"$TOOLS/vload" -s "$PFQ/private/verify" -n 1000 -K 1000 -u 100 -A "in-use-%@remote.test" >/dev/null || fail "cannot fill"
"$TOOLS/vload" -s "$PFQ/private/verify" -c 4 -d 60 -K 1000 -A "in-use-%@remote.test" -o uniform -u 10 -R 500 -M -t 8 \
    >"$T/load" 2>&1 &
load=$!
before=$(postfix_probes)
for _ in 1 2 3; do
	vouch_reload own >/dev/null || fail "vouch reload: exit $?"
	postfix_ask_rows 2900
	postfix_reload 2>/dev/null || fail "postfix reload: exit $?"
	postfix_ask_rows			# no time limit: Postfix's own services have to find each other again
done
kill $load
wait $load || fail "under reload: $(cat "$T/load")"
[ "$(postfix_probes)" = "$before" ] || fail "an address whose status is known was probed again"
# our master stops and starts; Postfix's clients find the new one by themselves
vouch_stop own
[ -z "$(workers "$T/own/queue" verify)" ] || fail "workers are left: $(workers "$T/own/queue" verify)"
vouch_start own
postfix_ask_rows
[ "$(postfix_probes)" = "$before" ] || fail "stop and start lost the cache"
postfix_dialogue b
log_clean "$PFLOG" "killed by|throttling"
log_clean "$(vouch_log own)" "warning:|error:"
