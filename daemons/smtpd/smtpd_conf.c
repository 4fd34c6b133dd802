/* daemons/smtpd/smtpd_conf.c - parameters -> what a session wants to know */
#include <string.h>

#include "smtpd.h"

void
smtpd_conf_make(struct smtpd_conf *c, const struct params *p)
{
	*c = (struct smtpd_conf) {
		.params = p,
		.hostname = p->myhostname, .banner = p->smtpd_banner, .mail_name = p->mail_name,
		.idle_ms = p->smtpd_timeout, .session_ms = p->smtpd_session_time_limit, .hook_ms = p->smtpd_plugin_time_limit,
		.error_sleep_ms = p->smtpd_error_sleep_time,
		.soft_errors = (unsigned) p->smtpd_soft_error_limit, .hard_errors = (unsigned) p->smtpd_hard_error_limit,
		.junk_limit = (unsigned) p->smtpd_junk_command_limit, .rcpt_limit = (unsigned) p->smtpd_recipient_limit,
		.overshoot_limit = (unsigned) p->smtpd_recipient_overshoot_limit, .hops = (unsigned) p->hopcount_limit,
		.client_limit = (unsigned) p->smtpd_client_limit,
		.client_ip_limit = (unsigned) p->smtpd_client_connection_count_limit,
		.null_rcpt_limit = (unsigned) p->smtpd_null_sender_recipient_limit,
		.unknown_limit = (unsigned) p->smtpd_unknown_recipient_limit,
		.message_limit = p->message_size_limit, .body_memory = p->smtpd_body_memory_limit,
		.header_limit = (size_t) p->header_size_limit,
		.helo_required = p->smtpd_helo_required, .second_helo = p->smtpd_allow_second_helo,
		.bare_path = p->smtpd_accept_without_brackets, .smtputf8 = p->smtputf8_enable,
		.normalize = strcmp(p->smtpd_forbid_bare_newline, "normalize") == 0,
		.forbid_pipelining = p->smtpd_forbid_unauth_pipelining,
		.qpsmtpd_codes = strcmp(p->smtpd_reply_codes, "qpsmtpd") == 0,
		.name_ms = p->smtpd_peername_lookup ? p->smtpd_peername_timeout : 0,
		.tls = strcmp(p->smtpd_tls_security_level, "may") == 0 || strcmp(p->smtpd_tls_security_level, "encrypt") == 0,
		.tls_required = strcmp(p->smtpd_tls_security_level, "encrypt") == 0,
		.settings_dir = p->smtpd_settings_directory,
		.probe_sender = p->address_verify_sender, .double_bounce = p->double_bounce_sender, .myorigin = p->myorigin,
		.probe_sender_ttl_ms = p->address_verify_sender_ttl,
	};
}
