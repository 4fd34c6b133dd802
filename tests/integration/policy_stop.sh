# policy_stop - vouch is stopped at full load: every answer that a client got is in the log, and counted
. ./lib.sh
. ./lib_policy.sh

vouch_make s greylist_delay=0s
policy_service s policy unix
P=$T/s/queue/private/policy
answered=0
for round in 1 2 3 4; do
	vouch_start s
	wait_for 10 policy_says '*' "$P" sender=
	answered=$((answered + 1))
	"$TOOLS/pload" -c 16 -d 60 -K 5000 "$P" >"$T/load" 2>&1 &
	load=$!
	busy() { [ "$(vouch_stat s policy_requests)" -gt $((answered + 20000)) ]; }
	wait_for 30 busy
	vouch_stop s
	wait $load
	got=$(sed -n 's/.*connection lost, \([0-9]*\) requests done/\1/p' "$T/load")
	[ "${got:-0}" -gt 20000 ] || fail "round $round: $(cat "$T/load")"
	answered=$((answered + got))
	logged=$(grep -c ': greylist=' "$(vouch_log s)") counted=$(vouch_stat s policy_requests)
	note "round $round: $answered answers, $logged lines, $counted counted"
	[ "$logged" -ge $answered ] || fail "round $round: answers without a line"
	[ "$counted" -ge $answered ] || fail "round $round: answers that were not counted"
	answered=$logged				# some were made and not read
done
log_clean "$(vouch_log s)" killed
