# tests/integration/lib_probe.sh - name server and mail servers for tests of probe(8); sourced after lib.sh

# dnsd_start ZONE... - a name server; its address and port are in $DNS
dnsd_start() {
	for lib_fact do
		echo "$lib_fact"
	done >"$T/zone"
	: >"$T/dnsd.out"
	"$TOOLS/dnsd" "$T/zone" >"$T/dnsd.out" 2>>"$T/dnsd.log" &
	lib_dnsd=$!
	at_exit "stop_pid $lib_dnsd"
	wait_for 5 grep -q ready "$T/dnsd.out"
	DNS=127.0.0.1:$(sed -n 's/^ready //p' "$T/dnsd.out")
}

# mxd_start NAME HOST PORT OPTION... - an MX host; its pid is in $MXD
mxd_start() {
	lib_mxd=$1 lib_host=$2 lib_port=$3
	shift 3
	: >"$T/$lib_mxd.mxd"
	"$TOOLS/mxd" "$@" "$lib_host" "$lib_port" >"$T/$lib_mxd.mxd" 2>>"$T/mxd.log" &
	MXD=$!
	at_exit "stop_pid $MXD"
	wait_for 5 grep -q ready "$T/$lib_mxd.mxd"
}
# mxd_stop NAME - end the MX host started last; its figures are in $FIGURES
mxd_stop() {
	stop_pid "$MXD"
	FIGURES=$(tail -n 1 "$T/$1.mxd")
}

# verdict NAME ADDRESS SECONDS PATTERN - what "vouch query --wait" says in the end
verdict() {
	lib_said=$("$BIN/vouch" -c "$T/$1/etc" query --wait -t "$3" "$2" 2>&1)
	note "$lib_said"
	want "$2" "$lib_said" "$2: $4"
}
# counter NAME COUNTER - of vouch stats
counter() { "$BIN/vouch" -c "$T/$1/etc" stats | sed -n "s/^$2  *\\([0-9]*\\) .*/\\1/p"; }
# counted NAME COUNTER N - it has reached N; for wait_for
counted() { [ "$(counter "$1" "$2")" -ge "$3" ]; }
