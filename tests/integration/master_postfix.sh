# master_postfix.sh - our master runs a whole real Postfix: every daemon that its master.cf names, unchanged, Postfix's verify
# and trivial-rewrite among them. If the child contract were not kept, mail would not be verified, or not at all.
. ./lib.sh
. ./lib_postfix.sh
need_postfix

# master_start - ours, with Postfix's configuration
master_start() {
	"$LIBEXEC/master" -c "$PF" -w || fail "master: exit $?"
	master=$(tr -d ' ' <"$PFQ/pid/master.pid")
	at_exit "stop_pid $master"
	wait_for 10 postfix_serves
}
# children - names of the programs that run in the queue directory, each once
children() { ps -o comm= --ppid "$master" | sort -u | tr '\n' ' '; }
reloaded() { [ "$(cat "$PFQ/pid/master.status")" = "generation $1 ok" ]; }

postfix_make
postfix -c "$PF" check 2>/dev/null		# makes the directories; "not owned by root" of /tmp is no matter here
master_start
want "the master" "$(readlink "/proc/$master/exe")" "$(readlink -f "$LIBEXEC/master")"
want "postfix status" "$(postfix -c "$PF" status 2>&1; echo $?)" "*0"

postfix_dialogue a
running=$(children)
note "children: $running"
for program in verify trivial-rewrite cleanup qmgr smtpd postlogd; do
	case " $running" in
	*" $program "*)	;;
	*)		fail "$program does not run; there are: $running" ;;
	esac
done

# what a child has, seen from outside
verify=$(workers "$PFQ" verify)
[ -n "$verify" ] || fail "no verify in $PFQ"
want "verify's program" "$(readlink "/proc/$verify/exe")" "$(readlink -f "$(postconf -c "$PF" -xh daemon_directory)")/verify"
want "its arguments" "$(tr '\0' ' ' <"/proc/$verify/cmdline")" "verify -l -t unix -u "
want "its environment" "$(tr '\0' ' ' <"/proc/$verify/environ")" "*MAIL_CONFIG=$PF *GENERATION=[0-7]* "

# reload with Postfix's own command, which sends SIGHUP to the pid in the lock file; every service goes on
postfix_reload 2>/dev/null || fail "postfix reload: exit $?"
wait_for 5 reloaded 1
postfix_dialogue b
wait_for 10 gone "$verify"

# a message from sendmail's queue through pickup, cleanup, qmgr, local: delivered, not only verified
postfix_set "mailbox_command=" "home_mailbox=" "mail_spool_directory=$T/mail/"
mkdir -m 1777 "$T/mail"
kill -HUP "$master"
wait_for 5 reloaded 2
"$TOOLS/smtpsay" "$LO" 2525 "EHLO client.test" "MAIL FROM:<>" "RCPT TO:<daemon@local.test>" DATA "Subject: x
.
" QUIT >"$T/smtp" 2>&1
delivered() { grep -q 'to=<daemon@local.test>.*status=sent' "$PFLOG"; }
wait_for 10 delivered

# stop with Postfix's own command: nothing is left, in no process and no socket
pids=$(ps -o pid= --ppid "$master")
postfix -c "$PF" stop 2>/dev/null || fail "postfix stop: exit $?"
wait_for 8 gone "$master"
for pid in $pids; do
	wait_for 8 gone "$pid"
done
[ -z "$(find "$PFQ/private" "$PFQ/public" -type s)" ] || fail "sockets are left: $(find "$PFQ/private" "$PFQ/public" -type s)"
grep -q 'master.*terminating on signal 15' "$PFLOG" || fail "the master's last line is not in the log"
! grep -E 'fatal|panic|throttling|master.*(warning|error)' "$PFLOG" || fail "complaints in the log"
