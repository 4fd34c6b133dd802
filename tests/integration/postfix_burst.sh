# postfix_burst.sh - a burst of fresh addresses through the real cleanup, queue manager and delivery agent: none is lost
# limit: 180
. ./lib.sh
. ./lib_postfix.sh
need_postfix

N=${BURST:-20000}
postfix_make
postfix_set "transport_maps=inline:{burst.test=discard:probe_taken}" address_verify_pending_request_limit=$((N * 2)) \
    in_flow_delay=0 smtpd_recipient_restrictions=permit
postfix_verify_ours n 4
postfix_start
S=$PFQ/private/verify
vload -s "$S" -A "x%@burst.test" -K $N -n $N -c 64 || fail "burst: $LOAD"
want "answers in progress" "$(is todo "$LOAD")" $N
asked=$LOAD
# the last update is the sign; until then nobody asks, so that no query can repair a loss
all_reported() { [ "$(grep -c 'status=deliverable (probe_taken)' "$PFLOG")" -ge $N ]; }
try_for 150 all_reported || fail "$(grep -c 'status=deliverable (probe_taken)' "$PFLOG") of $N probes were reported"
want "addresses reported" "$(sed -n 's/.* to=<\(x[0-9]*@burst.test\)>.*status=deliverable.*/\1/p' "$PFLOG" | sort -u | wc -l)" $N
vload -s "$S" -A "x%@burst.test" -K $N -n $N -c 64 || fail "afterwards: $LOAD"
want "answers deliverable" "$(is ok "$LOAD")" $N
wait_for 10 postfix_queue_empty
note "burst of $N: asked in $(is seconds "$asked") s, p99 $(is p99_us "$asked") us; 0 lost"
log_clean "$PFLOG" "killed by|throttling|verify.*(warning|error):"
