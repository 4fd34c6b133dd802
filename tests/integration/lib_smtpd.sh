# tests/integration/lib_smtpd.sh - instances with smtpd(8) for the tests; sourced after lib.sh

# smtpd_make NAME PLUGIN_LINE... - an instance with smtpd on $LO:2525 and $LO:2526, a process each; the plugins of the examples and of
# tests/plugins can be loaded. vouch_set and vouch_start as usual
smtpd_make() {
	lib_smtpd=$1
	shift
	vouch_make "$lib_smtpd" myhostname=mx.test smtpd_plugin_directory="$T/plugins" smtpd_error_sleep_time=0s
	install -d -m 755 "$T/plugins"
	install -m 755 "$TOOLS"/../../plugins/*.so "$T/plugins"
	smtpd_plugins "$lib_smtpd" "$@"
	echo "$LO:2525 inet n - n - 1 smtpd" >>"$T/$lib_smtpd/etc/master.cf"
	echo "$LO:2526 inet n - n - 1 smtpd" >>"$T/$lib_smtpd/etc/master.cf"
}
# smtpd_plugins NAME PLUGIN_LINE... - its plugins file
smtpd_plugins() {
	lib_file=$T/$1/etc/plugins
	shift
	: >"$lib_file"
	for lib_line do
		echo "$lib_line" >>"$lib_file"
	done
}
# says PORT COMMAND... - the replies, one line each, without the time
says() {
	lib_port=$1
	shift
	"$TOOLS/smtpsay" "$LO" "$lib_port" "$@" 2>&1 | sed 's/^[0-9]* //'
}
# reply N TEXT - the N-th line of a text; the greeting is the first
reply() { printf '%s\n' "$2" | sed -n "$1p"; }
