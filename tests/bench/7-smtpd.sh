# 7-smtpd - messages per second through smtpd(8) with queue/smtp, against Postfix's smtpd with smtpd_proxy_filter, both before the same
# smtp-sink; a session for each message. Postfix's smtp-source sends for the rates; tests/tools/mload for the time of a session
. ../integration/lib.sh
. ../integration/lib_postfix.sh
. ../integration/lib_smtpd.sh
. ./lib.sh
need_postfix

N=${BENCH_MESSAGES:-4000} TIMES=${BENCH_SMTPD_ROUNDS:-5}

# tree_ms PID - processor time of a process, its children, and of those that have ended, milliseconds
tree_ms() {
	for bench_pid in "$1" $(pgrep -P "$1"); do
		sed 's/^.*) //' "/proc/$bench_pid/stat" 2>/dev/null
	done | awk -v hz="$(getconf CLK_TCK)" '{ sum += $12 + $13 + $14 + $15 } END { printf "%.0f\n", sum * 1000 / hz }'
}

smtp-sink -u postfix "$LO:2540" 1000 >"$T/sink.log" 2>&1 &
SINK=$!
at_exit "stop_pid $SINK"
postfix_make
postfix_set smtpd_recipient_restrictions=permit relay_domains=sink.test default_process_limit=300
echo "$LO:2530 inet n - n - 300 smtpd -o smtpd_proxy_filter=inet:$LO:2540" >>"$PF/master.cf"
postfix_start

# worker processes: one, and one for each CPU
smtpd_make s "queue/smtp $LO 2540" rcpt_test
sed -i -e "s/^$LO:2526 .*/$LO:2516 inet n - n - 1 smtpd/" -e "s/^$LO:2525 .*/$LO:2515 inet n - n - $(nproc) smtpd/" "$T/s/etc/master.cf"
vouch_set s smtpd_client_connection_count_limit=0 smtpd_client_limit=1000 "$LO:2515_prefork_limit=$(nproc)" "$LO:2516_prefork_limit=1"
vouch_start s
all_there() { [ "$(workers "$T/s/queue" smtpd | wc -l)" = "$(($(nproc) + 1))" ]; }
wait_for 10 all_there
VPID=$(tr -d ' ' <"$T/s/queue/pid/master.pid")
# shellcheck disable=SC2046
bench_prefer "$SINK" "$PFPID" "$VPID" $(workers "$T/s/queue" smtpd)

# once KEY PORT PID SESSIONS - smtp-source, then mload; a line "rate p50 p99 cpu_us" into $FIGURES/KEY
once() {
	smtpd_ms=$(tree_ms "$3")
	smtpd_begin=$(now_ms)
	smtp-source -s "$4" -m "$N" -l 2000 -f ann@load.test -t bob@sink.test "inet:$LO:$2" || fail "smtp-source to $1: $?"
	smtpd_took=$(($(now_ms) - smtpd_begin))
	smtpd_cpu=$((($(tree_ms "$3") - smtpd_ms) * 1000 / N))
	LOAD=$("$TOOLS/mload" -c "$4" -n "$N" "$LO" "$2") || fail "mload to $1: $LOAD"
	echo "$((N * 1000 / smtpd_took)) $(is p50_us "$LOAD") $(is p99_us "$LOAD") $smtpd_cpu $(is rate "$LOAD")" >>"$FIGURES/$1"
}
for round in $(seq "$TIMES"); do
	for sessions in 20 200; do
		once "sink.$sessions" 2540 "$SINK" $sessions
		once "postfix.$sessions" 2530 "$PFPID" $sessions
		once "one.$sessions" 2516 "$VPID" $sessions
		once "vouch.$sessions" 2515 "$VPID" $sessions
	done
done
for sessions in 20 200; do
	printf '\n%-52s %8s %8s %8s %8s %8s\n' "messages, $sessions connections" "per s" "cpu us" "mload/s" "p50 ms" "p99 ms"
	for row in "sink:straight to smtp-sink" "postfix:Postfix's smtpd, smtpd_proxy_filter" "one:smtpd(8), queue/smtp, 1 worker" \
	    "vouch:smtpd(8), queue/smtp, $(nproc) workers"; do
		printf '  %-50s %8.0f %8.0f %8.0f %8.1f %8.1f\n' "${row#*:}" "$(median "${row%%:*}.$sessions" 1)" \
		    "$(median "${row%%:*}.$sessions" 4)" "$(median "${row%%:*}.$sessions" 5)" \
		    "$(median "${row%%:*}.$sessions" 2 | awk '{ print $1 / 1000 }')" "$(median "${row%%:*}.$sessions" 3 | awk '{ print $1 / 1000 }')"
	done
	for row in "one:times as many, 1 worker" "vouch:times as many, $(nproc) workers"; do
		r=$(paste -d ' ' "$FIGURES/${row%%:*}.$sessions" "$FIGURES/postfix.$sessions" | awk '{ print $1 / $6 }' | bench_median)
		printf '  %-50s %8.1f   %s\n' "${row#*:}" "$r" "$(at_least "$r" 3)"
	done
done
log_clean "$(vouch_log s)"
