# burst.sh - a burst of fresh addresses, and a cleanup service that is slow, refuses at first, or hangs: no probe is lost
# Postfix's verify loses about half of a burst of 2,000.
. ./lib.sh

N=20000
LIMIT=20				# address_verify_submission_limit, per worker
WORKERS=2

vouch_make b address_verify_submission_limit=$LIMIT address_verify_submission_timeout=2s
vouch_workers b $WORKERS
vouch_start b
S=$(verify_socket b)

# ask_all CASE - a query for each of the case's addresses, none of them ever asked before
ask_all() {
	vload -s "$S" -A "$1-%@burst.test" -K $N -n $N -c 64 || fail "$1: $LOAD"
	want "$1: answers in progress" "$(is todo "$LOAD")" $N
}
# all_probed CASE - each address was probed exactly once, its result has come, within the limit of open submissions
all_probed() {
	wait_for 30 all_known "$1"
	want "$1: probes" "$(grep -c " $1-" "$T/$1.probes")" $N
	want "$1: addresses probed" "$(grep " $1-" "$T/$1.probes" | sort -u -k 2,2 | wc -l)" $N
	cleanupd_stop
	open=$(sed -n 's/.*most open at a time \([0-9]*\).*/\1/p' "$T/cleanupd.out")
	[ "$open" -le $((LIMIT * WORKERS)) ] || fail "$1: $open submissions open at a time, limit $LIMIT, $WORKERS workers"
	note "$1: $N probes, at most $open open at a time"
}
all_known() {
	[ "$(wc -l <"$T/$1.probes")" -ge $N ] || return 1
	"$TOOLS/vload" -s "$S" -A "$1-%@burst.test" -K $N -n $N -c 64 >"$T/known" || fail "$1: $(cat "$T/known")"
	[ "$(is ok "$(cat "$T/known")")" = $N ]
}

cleanupd_start b slow --delay 3 --status-delay 3 --result '0:250 2.1.5 Ok'
ask_all slow
all_probed slow

# refuses, then is replaced by one that works; a second of it all, so that attempts do fail
cleanupd_start b none --mode refuse
ask_all refuse
wait_for 10 counted b submission_failures 3
cleanupd_stop
cleanupd_start b refuse --result '0:250 2.1.5 Ok'
all_probed refuse

# reads the message and never answers; every attempt runs into the time limit
before=$(vouch_stat b submission_failures)
cleanupd_start b none --mode hang
ask_all hang
wait_for 10 counted b submission_failures $((before + LIMIT))
cleanupd_stop
cleanupd_start b hang --result '0:250 2.1.5 Ok'
all_probed hang

# a submission that finally fails releases its claim: the next query submits again
cleanupd_start b final --status 8
for i in 1 2 3; do
	answers "$S" refused@burst.test "3 *" || fail "refused@burst.test: $(ask "$S" refused@burst.test)"
	wait_for 5 probed final refused@burst.test $i
	wait_for 5 counted b probes_refused $i
done
cleanupd_stop
cleanupd_start b final2 --mode drop
# a worker's pauses between attempts grow to 10 s; the second query may meet the same worker, or the other one
for i in 1 2; do
	answers "$S" dropped@burst.test "3 *" || fail "dropped@burst.test: $(ask "$S" dropped@burst.test)"
	wait_for 60 counted b probes_given_up $i
done
cleanupd_stop
cleanupd_start b last --result '2:550 5.1.1 No such user'
answers "$S" dropped@burst.test "3 *" || fail "dropped@burst.test: $(ask "$S" dropped@burst.test)"
wait_for 15 answers "$S" dropped@burst.test "2 550 5.1.1 No such user"
log_clean "$(vouch_log b)" "killed by|throttling"
