# userpath.sh - what a user gets wrong: one clear line that names what, where and what to do; the documented exit code;
# nothing changed on disk. A running instance goes on running.
. ./lib.sh

V=$T/u
vouch_make u address_verify_cache_size=1M
CF=$V/etc/main.cf MCF=$V/etc/master.cf
cp "$CF" "$T/good.main.cf"
cp "$MCF" "$T/good.master.cf"

# listing - everything on disk: names, kinds, modes, owners, sizes, times, contents
listing() {
	(cd "$V" && find . -printf '%p %y %m %u %g %s %T@ %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}
# refused CASE EXIT TEXT... -- COMMAND... - the command must fail with EXIT, in one line that holds every TEXT, and change nothing
refused() {
	refused_case=$1 refused_exit=$2
	shift 2
	: >"$T/texts"
	while [ "$1" != -- ]; do
		printf '%s\n' "$1" >>"$T/texts"
		shift
	done
	shift
	listing >"$T/before"
	timeout 30 "$@" >"$T/said" 2>&1 </dev/null
	want "$refused_case: exit status" "$?" "$refused_exit"
	listing >"$T/after"
	cmp -s "$T/before" "$T/after" || fail "$refused_case: changed on disk: $(diff "$T/before" "$T/after")"
	# one line per problem, and perhaps a last one that counts them
	refused_lines=$(grep -v -c -E '^vouch: [0-9]+ errors?, [0-9]+ warnings?: ' "$T/said")
	want "$refused_case: lines said ($(cat "$T/said"))" "$refused_lines" 1
	while read -r refused_text; do
		grep -v -E '^vouch: [0-9]+ errors?, [0-9]+ warnings?: ' "$T/said" | grep -F -q -e "$refused_text" ||
			fail "$refused_case: \"$refused_text\" is not in: $(cat "$T/said")"
	done <"$T/texts"
	note "$refused_case: $(head -n 1 "$T/said")"
}
# put LINE - at the end of main.cf, instead of what it says about that parameter
put() {
	sed -i "/^${1%% *} *=/d" "$CF"
	echo "$1" >>"$CF"
}
# with LINE CASE TEXT... - such a LINE in main.cf is refused by start and check, which tell where it stands
with() {
	put "$1"
	with_case=$2
	with_at="main.cf, line $(wc -l <"$CF")"
	shift 2
	refused "$with_case: start" 1 "$with_at" "$@" -- "$BIN/vouch" -c "$V/etc" start
	refused "$with_case: check" 1 "$with_at" "$@" -- "$BIN/vouch" -c "$V/etc" check
	cp "$T/good.main.cf" "$CF"
}

with "address_verify_hold_time = soon" "malformed time" address_verify_hold_time soon
with "address_verify_hold_time = 5x" "wrong unit" address_verify_hold_time 5x
with "address_verify_cache_size = 64Q" "wrong size" address_verify_cache_size 64Q
with "address_verify_submission_limit = 0" "too small" address_verify_submission_limit
with "address_verify_negative_cache = maybe" "no boolean" address_verify_negative_cache maybe
with "address_verify_reason_detail = some" "no such word" address_verify_reason_detail some full
with "address_verify_sender = @example.com" "bad sender" address_verify_sender
with "verify faster" "no equals sign" "missing '='" "verify faster"
with "mail_owner = no-such-user" "no such user" mail_owner no-such-user
with "maillog_file = $T/outside.log" "log outside" maillog_file

# what is only warned of: check says so with exit 1, start works
warned() {
	put "$1"
	shift
	refused "$1: check" 1 "main.cf, line $(wc -l <"$CF")" warning "$@" -- "$BIN/vouch" -c "$V/etc" check
	"$BIN/vouch" -c "$V/etc" start >"$T/said" 2>&1 || fail "$1: start: $(cat "$T/said")"
	for text do
		grep -F -q -e "$text" "$T/said" || fail "$1: \"$text\" is not in: $(cat "$T/said")"
	done
	"$BIN/vouch" -c "$V/etc" stop >/dev/null || fail "$1: stop"
	cp "$T/good.main.cf" "$CF"
}
at_exit 'vouch_stop u'
warned "adress_verify_hold_time = 1s" adress_verify_hold_time
warned "address_verify_map = btree:$T/x" btree "not supported"

# directories
mkdir "$T/elsewhere"
with "data_directory = $T/nowhere" "no data directory" data_directory "$T/nowhere"
refused "no configuration" 1 "$T/nowhere" -- "$BIN/vouch" -c "$T/nowhere" start
cp "$MCF" "$T/elsewhere"
refused "no main.cf" 1 "$T/elsewhere/main.cf" -- "$BIN/vouch" -c "$T/elsewhere" start
with "queue_directory = $T/nowhere" "no queue directory" queue_directory "$T/nowhere"
with "data_directory = $CF" "data directory is a file" data_directory "$CF"
refused "init over something" 1 "$V" -- "$BIN/vouch" init "$V"
refused "init below a file" 1 "$CF" -- "$BIN/vouch" init "$CF/x"

# usage
refused "no command" 2 -- sh -c "\"$BIN/vouch\" 2>&1 | head -n 1; exit 2"
refused "unknown command" 2 frobnicate -- sh -c "\"$BIN/vouch\" -c \"$V/etc\" frobnicate 2>&1 | head -n 1; exit 2"

# not running: 75, try again later, for those who ask; 1 for those who control
refused "query while stopped" 75 a@example.com "no answer" -- "$BIN/vouch" -c "$V/etc" query a@example.com
refused "reload while stopped" 1 "not running" -- "$BIN/vouch" -c "$V/etc" reload
refused "stop while stopped" 1 "not running" -- "$BIN/vouch" -c "$V/etc" stop

# master.cf
echo "verify2 unix - - n - many verify" >>"$MCF"
refused "master.cf: number" 1 "master.cf" "line $(wc -l <"$MCF")" many -- "$BIN/vouch" -c "$V/etc" start
cp "$T/good.master.cf" "$MCF"
echo "other unix - - n - 1 no-such-program" >>"$MCF"
refused "master.cf: program" 1 "master.cf" "line $(wc -l <"$MCF")" no-such-program -- "$BIN/vouch" -c "$V/etc" start
cp "$T/good.master.cf" "$MCF"

# an occupied socket, an occupied port
"$BIN/vouch" -c "$V/etc" start >/dev/null 2>&1 && "$BIN/vouch" -c "$V/etc" stop >/dev/null || fail "start, stop"
"$TOOLS/echod" -s "$V/queue/private/verify" &
echod=$!
at_exit "stop_pid $echod"
wait_for 5 answers "$V/queue/private/verify" a@example.com "0 *"
refused "occupied socket" 1 "$V/queue/private/verify" -- "$BIN/vouch" -c "$V/etc" start
answers "$V/queue/private/verify" a@example.com "0 *" || fail "the occupied socket was taken away"
stop_pid $echod
rm -f "$V/queue/private/verify"
echo text >"$V/queue/private/verify"
refused "a file in the socket's place" 1 "$V/queue/private/verify" -- "$BIN/vouch" -c "$V/etc" start
rm -f "$V/queue/private/verify"

vouch_make other address_verify_cache_size=1M
echo "$LO:4571 inet n - n - 1 verify" | tee -a "$MCF" >>"$T/other/etc/master.cf"
vouch_start other
refused "occupied port" 1 master.cf "line $(wc -l <"$MCF")" "$LO" 4571 -- "$BIN/vouch" -c "$V/etc" start
vouch_stop other
cp "$T/good.master.cf" "$MCF"

# a second start, and a second instance on the same directories; the first goes on
vouch_start u
S=$(verify_socket u)
"$BIN/vouch" -c "$V/etc" update x@example.com bounce "550 5.1.1 kept" >/dev/null || fail "update: exit $?"
pid=$(tr -d ' ' <"$V/queue/pid/master.pid")
refused_running() {
	"$@" >"$T/said" 2>&1
	want "$*" $? 1
	want "$*: lines said ($(cat "$T/said"))" "$(wc -l <"$T/said")" 1
	grep -q "$pid" "$T/said" || fail "$*: pid $pid is not in: $(cat "$T/said")"
	answers "$S" x@example.com "2 550 5.1.1 kept" || fail "$*: the running instance was harmed: $(ask "$S" x@example.com)"
}
refused_running "$BIN/vouch" -c "$V/etc" start
mkdir "$T/second"
cp "$CF" "$MCF" "$T/second"
refused_running "$BIN/vouch" -c "$T/second" start
