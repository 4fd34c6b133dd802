# 1-speed.sh - requests per second, side by side: the floor, Postfix's verify with its in-memory map, ours
. ../integration/lib.sh
. ../integration/lib_postfix.sh
. ./lib.sh

K=10000					# addresses, all of them known: what is measured is the answer, not the probe
workers=$(nproc)

# in a session of its own, as daemons are: the kernel may share out the CPUs by session
for w in 1 "$workers"; do
	[ -S "$T/floor$w" ] || { setsid "$TOOLS/echod" -s "$T/floor$w" -w "$w" & at_exit "stop_pid $!"; }
done
servers="floor1 floor$workers"

if [ "$(id -u)" = 0 ] && command -v postfix >/dev/null 2>&1; then
	postfix_make
	postfix_start
	ln -s "$PFQ/private/verify" "$T/postfix-verify"
	servers="$servers postfix"
fi
for w in 1 "$workers"; do
	[ ! -d "$T/vouch$w" ] || continue
	vouch_make "vouch$w"
	vouch_workers "vouch$w" "$w"
	vouch_start "vouch$w"
done
servers="$servers vouch1 vouch$workers"
socket() {
	case $1 in
	floor*) echo "$T/$1" ;;
	postfix) echo "$PFQ/private/verify" ;;
	vouch*)	verify_socket "$1" ;;
	esac
}
servers=$(printf '%s\n' $servers | awk '!seen[$0]++')
# echod_pids SOCKET - the echo server there and its workers
echod_pids() {
	for pid in $(find /proc/[0-9]* -maxdepth 1 -name exe -lname '*/echod' 2>/dev/null); do
		pid=${pid%/exe}
		tr '\0' ' ' <"$pid/cmdline" | grep -q -F -e "-s $1 " && echo "${pid#/proc/}"
	done
}
pids() {
	case $1 in
	floor*)	echod_pids "$T/$1" ;;
	# a master has to read what its workers report: Postfix's verify reports twice for each request
	postfix) echo "$PFPID"; workers "$PFQ" verify ;;
	vouch*)	tr -d ' ' <"$T/$1/queue/pid/master.pid"; workers "$T/$1/queue" verify ;;
	esac
}
for s in $servers; do
	vload -s "$(socket "$s")" -n $K -K $K -u 100 -c 4 || fail "cannot fill $s: $LOAD"
	eval "pids_$s=\$(pids $s)"
	# shellcheck disable=SC2046
	bench_prefer $(pids "$s")
done
# before and after the rounds each answer is checked; not during them, that would be work for the client with some servers only
check_all() {
	for s in $servers; do
		case $s in
		floor*)	continue ;;
		esac
		vload -s "$(socket "$s")" -n $K -K $K -c 16 -M || fail "$s: $LOAD"
	done
}
check_all
i=0
while [ $i -lt "$ROUNDS" ]; do
	for c in 16 100; do
		for s in $servers; do
			eval "PIDS=\$pids_$s"
			bench_once "$s" "hit$c" "$(socket "$s")" -c $c -K $K -o uniform
		done
		for s in $servers; do
			eval "PIDS=\$pids_$s"
			bench_once "$s" "update$c" "$(socket "$s")" -c $c -K $K -u 100
		done
	done
	i=$((i + 1))
done
check_all

name_of() {
	case $1 in
	floor1)	echo "echo floor, 1 worker" ;;
	floor*)	echo "echo floor, ${1#floor} workers" ;;
	postfix) echo "Postfix's verify, map in memory" ;;
	vouch1)	echo "vouch, 1 worker" ;;
	vouch*)	echo "vouch, ${1#vouch} workers" ;;
	esac
}
for kind in hit update; do
	for c in 16 100; do
		case $kind in
		hit)	what="queries answered from the cache, $c connections" ;;
		update)	what="updates, $c connections" ;;
		esac
		bench_head "$what"
		for s in $servers; do
			f=$kind$c.$s
			bench_row "$(name_of "$s")" "$f"
			case $s in
			vouch*)	r=$(ratio "$f" "$kind$c.floor${s#vouch}")
				printf '   %s x floor (%s)' "$r" "$(at_least "$r" 0.75)"
				if [ -s "$FIGURES/$kind$c.postfix" ]; then
					r=$(ratio "$f" "$kind$c.postfix")
					printf ', %s x Postfix (%s)' "$r" "$(at_least "$r" 2.5)"
				fi ;;
			esac
			echo
		done
	done
done
case $servers in
*postfix*) ;;
*)	skip "Postfix's verify: needs root and Debian's package postfix" ;;
esac
