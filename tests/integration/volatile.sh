# volatile.sh - the cache outlives worker, reload, stop and start; damage to its file costs entries, never an answer
. ./lib.sh

vouch_make v service_throttle_time=1s
vouch_start v
S=$(verify_socket v)
Q=$T/v/queue
FILE=$T/v/data/verify_cache.vouch
K=20000
known() { vload -s "$S" -K $K -n $K -c 8 -M "$@" || fail "$what: $LOAD"; }

what="filling"
vload -s "$S" -K $K -n $K -u 100 -c 8 || fail "cannot fill: $LOAD"
known
what="after all workers were killed"
for pid in $(workers "$Q" verify); do
	kill -9 "$pid"
	wait_for 5 gone "$pid"
done
known -r 50
what="after reload"
vouch_reload v || fail "reload: exit $?"
known
what="after stop and start"
vouch_stop v
[ -z "$(workers "$Q" verify)" ] || fail "workers are left after stop: $(workers "$Q" verify)"
vouch_start v
known

# damaged while nobody looks: start finds what is whole. -C: an answer is right, or "in progress"
for seed in 1 2 3; do
	vouch_stop v
	"$TOOLS/scribble" "$FILE" 3000 $seed >/dev/null
	vouch_start v
	vload -s "$S" -K $K -n $K -c 8 -C || fail "file damaged, seed $seed: $LOAD"
	note "damaged while stopped, seed $seed: $(is todo "$LOAD") of $K entries lost"
	vload -s "$S" -K $K -n $K -u 100 -c 8 || fail "cannot fill again: $LOAD"
done
# damaged while it is in use, thousands of times: nobody dies, no lie
before=$(workers "$Q" verify)
"$TOOLS/scribble" "$FILE" 20000 4 50 >/dev/null &
scribble=$!
vload -s "$S" -K $K -c 8 -o uniform -d 4 -u 20 -t 5 || fail "file being damaged: $LOAD"
wait $scribble
want "workers" "$(workers "$Q" verify)" "$before"
vload -s "$S" -K $K -n $K -c 8 -C -t 5 || fail "file damaged in use: $LOAD"
note "damaged in use: $(is todo "$LOAD") of $K entries lost; $(vouch_stat v cache_damaged) damaged entries dropped"
# it heals: what still turns up damaged is dropped, and is kept when it comes again
filled() {
	vload -s "$S" -K $K -n $K -u 100 -c 8 -t 5 || fail "cannot fill after damage: $LOAD"
	vload -s "$S" -K $K -n $K -c 8 -C -t 5 || fail "after damage: $LOAD"
	fills=$((fills + 1))
	note "fill $fills: $(is todo "$LOAD") of $K entries lost"
	[ "$(is todo "$LOAD")" = 0 ]
}
fills=0
wait_for 10 filled
note "all entries kept after $fills fills"

# removed, cut, replaced by nonsense
what="file removed"
rm "$FILE"
vload -s "$S" -K $K -n $K -c 8 -C -r 50 -t 5 || fail "$what: $LOAD"
what="file is nonsense"
vouch_stop v
head -c 100000 /dev/urandom >"$FILE"
vouch_start v
vload -s "$S" -K $K -n $K -u 100 -c 8 || fail "$what: $LOAD"
known
what="file was cut while in use"
truncate -s 10000 "$FILE"
vload -s "$S" -K $K -d 3 -c 8 -u 10 -r 50 -t 5 || fail "$what: $LOAD"
vload -s "$S" -K $K -n $K -u 100 -c 8 -r 50 -t 5 || fail "$what: $LOAD"
known
log_clean "$(vouch_log v)"
