# tests/integration/lib_policy.sh - policy(8) in the tests; sourced after lib.sh

# policy_service NAME SERVICE TYPE [OPTION...] - add it to instance NAME's master.cf, one worker; options are "-o parameter=value"
policy_service() {
	lib_cf=$T/$1/etc/master.cf lib_service=$2 lib_type=$3
	shift 3
	lib_private=n
	[ "$lib_type" = inet ] || lib_private=y
	{
		echo "$lib_service $lib_type $lib_private - n - 1 policy"
		for lib_option do
			echo "  -o $lib_option"
		done
	} >>"$lib_cf"
}
# policy SOCKET ATTRIBUTE... - one request, or several with "--" between them; the actions, without their times, in $ACTION
policy() {
	lib_socket=$1
	shift
	ACTION=$("$TOOLS/policysay" "$lib_socket" "$@" 2>&1)
	lib_policy=$?
	ACTION=$(printf '%s\n' "$ACTION" | sed 's/^[0-9]* //')
	return $lib_policy
}
# policy_says PATTERN SOCKET ATTRIBUTE... - whether the last action matches; for wait_for
policy_says() {
	lib_pattern=$1
	shift
	policy "$@" || return 1
	# shellcheck disable=SC2254
	case $(printf '%s\n' "$ACTION" | tail -n 1) in
	$lib_pattern) return 0 ;;
	esac
	return 1
}
# policy_want PATTERN SOCKET ATTRIBUTE... - it must match now
policy_want() { policy_says "$@" || fail "policy $*: \"$ACTION\""; }
