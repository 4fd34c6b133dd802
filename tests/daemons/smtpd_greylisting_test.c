/* tests/daemons/smtpd_greylisting_test.c - greylisting in smtpd(8), under a fake clock; what it decides: tests/global/greylist_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tests/lib/smtpd_rig.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>

#define OK	"250 2.1.5 Recipient ok\r\n"
#define LATER	"450 4.2.0 Greylisted, please try again later\r\n"
#define GO	"354 End data with <CR><LF>.<CR><LF>\r\n"

static struct smtpd_rig rig;
static struct smtpd_rig_client c;

static const struct vh_plugin *const helpers[] = { &smtpd_rig_keep, NULL };

static char *
config(const char *more)
{
	return mem_printf("config_directory = %s\ndata_directory = %s\nqueue_directory = %s\nmyhostname = mx.test\n"
	    "greylist_cache_size = 1M\naddress_verify_cache_size = 1M\n%s", test_dir, test_dir, test_dir, more);
}

static void
begin(const char *line, const char *more)
{
	char   *cf = config(more), *plugins = mem_printf("%s\nkeep\n", line);

	smtpd_rig_setup(cf, test_dir);
	smtpd_rig_begin(&rig, plugins, helpers);
	mem_free(&cf);
	mem_free(&plugins);
}

static const char *
mail(const char *from, const char *to)
{
	smtpd_rig_mail(&rig, &c, from, "");
	return smtpd_rig_rcpt(&rig, &c, to);
}

static void
send_body(void)
{
	assert_string_equal(smtpd_rig_ask(&rig, &c, "DATA"), GO);
	assert_int_equal(strncmp(smtpd_rig_ask(&rig, &c, "Subject: x\r\n\r\ntext\r\n."), "250 ", 4), 0);
}

/* the first attempt, one that is early, one that is not; then it is known. The header tells */
static void
test_retry(void **state)
{
	(void) state;
	begin("greylisting", "");
	assert_string_equal(mail("a@b.test", "c@d.test"), LATER);
	smtpd_rig_advance(&rig, 299000);
	assert_string_equal(mail("a@b.test", "c@d.test"), LATER);
	smtpd_rig_advance(&rig, 2000);
	assert_string_equal(mail("a@b.test", "c@d.test"), OK);
	send_body();
	if (strstr(smtpd_rig_kept.message, "X-Greylist: delayed 301 seconds by vouch at mx.test; ") == NULL)
		fail_msg("no header: %s", smtpd_rig_kept.message);
	assert_string_equal(mail("a@b.test", "c@d.test"), OK);
	send_body();
	assert_null(strstr(smtpd_rig_kept.message, "X-Greylist"));
	smtpd_rig_end(&rig);

	/* the records are the host's: another process knows */
	begin("greylisting black_timeout 10", "");
	assert_string_equal(mail("a@b.test", "c@d.test"), OK);
	assert_string_equal(mail("new@e.test", "c@d.test"), LATER);
	smtpd_rig_advance(&rig, 11000);
	assert_string_equal(mail("new@e.test", "c@d.test"), OK);
	smtpd_rig_end(&rig);
}

static void
test_null_sender(void **state)
{
	(void) state;
	begin("greylisting", "");
	assert_string_equal(mail("", "c@d.test"), OK);		/* a callout has its answer */
	smtpd_rig_ask(&rig, &c, "RSET");
	assert_string_equal(mail("", "c@d.test"), OK);		/* a bounce waits, at DATA */
	assert_string_equal(smtpd_rig_ask(&rig, &c, "DATA"), "450 4.2.0 Greylisted, please try again later\r\n");
	assert_non_null(c.conn);
	smtpd_rig_advance(&rig, 301000);
	assert_string_equal(mail("", "c@d.test"), OK);
	send_body();
	smtpd_rig_end(&rig);
}

static void
test_forms(void **state)
{
	(void) state;
	begin("greylisting deny_late 1", "");
	assert_string_equal(mail("a@b.test", "c@d.test"), OK);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "DATA"), "451 4.2.0 Greylisted, please try again later\r\n");
	smtpd_rig_advance(&rig, 301000);
	assert_string_equal(mail("a@b.test", "c@d.test"), OK);
	send_body();
	smtpd_rig_end(&rig);

	begin("greylisting reject 0", "");
	assert_string_equal(mail("l@l.test", "l@d.test"), OK);
	smtpd_rig_end(&rig);
	begin("greylisting", "greylist_mode = observe\n");
	assert_string_equal(mail("m@m.test", "m@d.test"), OK);
	smtpd_rig_end(&rig);
	begin("greylisting", "");			/* both were recorded: a retry, early */
	assert_string_equal(mail("l@l.test", "l@d.test"), LATER);
	assert_string_equal(mail("m@m.test", "m@d.test"), LATER);
	smtpd_rig_advance(&rig, 301000);
	assert_string_equal(mail("l@l.test", "l@d.test"), OK);
	smtpd_rig_end(&rig);

	begin("greylisting reject_type disconnect", "greylist_text = 4.7.1 Later\n");
	assert_string_equal(mail("n@n.test", "n@d.test"), "450 4.7.1 Later\r\n");
	assert_null(c.conn);
	smtpd_rig_end(&rig);

	begin("greylisting", "greylist_action = 451\ngreylist_text = Later\n");
	assert_string_equal(mail("o@o.test", "o@d.test"), "451 4.2.0 Later\r\n");
	smtpd_rig_end(&rig);

	begin("greylisting", "");
	smtpd_rig_kept.relay = true;
	assert_string_equal(mail("p@p.test", "p@d.test"), OK);
	smtpd_rig_end(&rig);

	begin("greylisting except_tls 1", "");
	smtpd.conf.tls = true;
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_ask(&rig, &c, "EHLO client.test");
	smtpd_rig_say(&rig, &c, "STARTTLS\r\n");
	smtpd_session_tls(c.conn, "TLSv1.3", "TEST");
	c.held = false;
	smtpd_rig_ask(&rig, &c, "EHLO client.test");
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<q@q.test>");
	assert_string_equal(smtpd_rig_ask(&rig, &c, "RCPT TO:<q@d.test>"), OK);
	assert_string_equal(mail("q@q.test", "q@d.test"), LATER);
	smtpd_rig_end(&rig);
}

static void
test_arguments(void **state)
{
	char   *cf = config("");

	(void) state;
	smtpd_rig_setup(cf, test_dir);
	assert_string_equal(smtpd_rig_refused("greylisting black_timeout 0"),
	    "plugins, line 1: greylisting: black_timeout 0: use a time from 1s to 1d");
	assert_string_equal(smtpd_rig_refused("greylisting\ngreylisting:1"),
	    "plugins, line 2: greylisting:1: can stand in the file once only");
	assert_non_null(strstr(smtpd_rig_refused("greylisting white_timeout 1h"), "plugins, line 1: greylisting: parameter greylist_"));
	smtpd_rig_setup(NULL, NULL);
	mem_free(&cf);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_retry, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_null_sender, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_forms, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_arguments, test_dir_make, test_dir_remove),
	};

	msg_to_stderr(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
