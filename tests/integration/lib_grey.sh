# tests/integration/lib_grey.sh - workers that only greylist and take commands (tests/tools/greyask.c); sourced after lib.sh
# At most three at a time, called a, b and aa.

# grey_start NAME HOST - a worker of HOST that takes commands, with its log in $GREY_LOG; grey NAME COMMAND... - its answer, in $GREY
grey_start() {
	mkfifo "$T/$1.in" "$T/$1.out" || exit 1
	"$TOOLS/greyask" "$T/$2/etc" <"$T/$1.in" >"$T/$1.out" 2>>"${GREY_LOG:-$T/$2/log/grey.log}" \
	    3>&- 4<&- 5>&- 6<&- 7>&- 8<&- &
	eval "grey_pid_$1=$!"
	at_exit "stop_pid $!"
	case $1 in
	a)	exec 3>"$T/a.in" 4<"$T/a.out" ;;
	b)	exec 5>"$T/b.in" 6<"$T/b.out" ;;
	aa)	exec 7>"$T/aa.in" 8<"$T/aa.out" ;;
	esac
}
tell() {
	case $1 in
	a)	shift; echo "$*" >&3 ;;
	b)	shift; echo "$*" >&5 ;;
	aa)	shift; echo "$*" >&7 ;;
	esac
}
grey_stop() {
	eval "gone \$grey_pid_$1" || tell "$1" quit
	case $1 in
	a)	exec 3>&- 4<&- ;;
	b)	exec 5>&- 6<&- ;;
	aa)	exec 7>&- 8<&- ;;
	esac
	eval "wait_for 10 gone \$grey_pid_$1"
	rm -f "$T/$1.in" "$T/$1.out"
}
hear() {
	case $1 in
	a)	read -r GREY <&4 ;;
	b)	read -r GREY <&6 ;;
	aa)	read -r GREY <&8 ;;
	esac
}
grey() { tell "$@"; hear "$1"; }
is_db() { grey "$1" db; [ "$GREY" = "$2" ]; }
is_clean() { grey "$1" count; [ "${GREY##*dirty=}" = 0 ]; }
