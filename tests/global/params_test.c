/* tests/global/params_test.c - the table itself, and values from text */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/params.h>

static void
params_test_quiet(void *ctx, const char *text)
{
	(void) ctx;
	(void) text;
}

static struct main_cf *
params_test_cf(const char *text)
{
	struct buf why = BUF_INIT(1000);
	struct main_cf *cf = main_cf_parse("/x/main.cf", text, strlen(text), params_test_quiet, NULL, &why);

	if (cf == NULL)
		fail_msg("%s", buf_str(&why));
	buf_fini(&why);
	return cf;
}

/* each row can be found, is in order, and its default passes its own bounds and check */
static void
params_test_table(void **state)
{
	struct buf why = BUF_INIT(10000);
	struct main_cf *cf = main_cf_new();
	struct params *p;

	(void) state;
	assert_true(params_count > 50);
	for (size_t i = 0; i < params_count; i++) {
		const struct params_row *row = &params_table[i];

		if (i > 0 && strcmp(params_table[i - 1].name, row->name) >= 0)
			fail_msg("%s is not in alphabetical order", row->name);
		if (params_find(row->name) != row)
			fail_msg("%s is not found", row->name);
		if (strlen(row->what) < 10 || row->what[strlen(row->what) - 1] != '.')
			fail_msg("%s has no manual text", row->name);
	}
	assert_null(params_find("a"));
	assert_null(params_find("zz"));
	assert_null(params_find("max_idl"));
	if ((p = params_load(cf, &why)) == NULL)
		fail_msg("defaults: %s", buf_str(&why));
	assert_int_equal(p->max_idle, 100000);
	assert_int_equal(p->max_use, 100);
	assert_int_equal(p->address_verify_cache_size, 64 << 20);
	assert_int_equal(p->address_verify_hold_time, 0);
	assert_int_equal(p->address_verify_defer_expire_time, 3ll * 86400 * 1000);
	assert_int_equal(p->address_verify_defer_refresh_time, 3ll * 3600 * 1000);
	assert_string_equal(p->address_verify_sender, "double-bounce");
	assert_string_equal(p->syslog_name, "postfix");
	assert_true(p->address_verify_negative_cache);
	assert_false(p->smtputf8_enable);		/* compatibility_level 0 */
	assert_string_equal(p->myorigin, p->myhostname);
	params_free(&p);
	params_free(&p);
	main_cf_free(&cf);
	buf_fini(&why);
}

/* values as text, after expansion */
static void
params_test_eval(void **state)
{
	static const struct {
		const char *cf, *name, *want;
	} cases[] = {
		{ "", "max_idle", "100s" },
		{ "", "nosuch", "" },
		{ "nosuch = x $max_use\n", "nosuch", "x 100" },
		{ "max_idle = $foo\nfoo = 3m\n", "max_idle", "3m" },
		/* a default that this program never looked at is known all the same */
		{ "address_verify_positive_expire_time = $daemon_timeout\n", "address_verify_positive_expire_time", "18000s" },
		{ "multi_instance_name = postfix-mx2\n", "syslog_name", "postfix-mx2" },
		{ "address_verify_negative_expire_time = 5d\n", "address_verify_defer_expire_time", "5d" },
		{ "compatibility_level = 3.6\n", "smtputf8_enable", "yes" },
		{ "myhostname = mx.foo.example\n", "mydomain", "foo.example" },
		{ "myhostname = mx.foo.example\nq = a@$mydomain $myorigin\n", "q", "a@foo.example mx.foo.example" },
		{ "myhostname = mx.$dom\ndom = d.example\n", "mydomain", "d.example" },
		{ "myhostname = single\n", "mydomain", "localdomain" },
		{ "myhostname = dot.\n", "mydomain", "localdomain" },
		{ "mydomain = foo.example\nmyhostname = mx.$mydomain\n", "myorigin", "mx.foo.example" },
		{ "mydomain = $myhostname\nmyhostname=h.d\n", "mydomain", "h.d" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct main_cf *cf = params_test_cf(cases[i].cf);
		struct buf out = BUF_INIT(1000), why = BUF_INIT(1000);

		if (params_eval(cf, cases[i].name, &out, &why) < 0)
			fail_msg("%s%s: %s", cases[i].cf, cases[i].name, buf_str(&why));
		if (strcmp(buf_str(&out), cases[i].want) != 0)
			fail_msg("%s%s: got \"%s\", want \"%s\"", cases[i].cf, cases[i].name, buf_str(&out),
			    cases[i].want);
		buf_fini(&out);
		buf_fini(&why);
		main_cf_free(&cf);
	}
}

/* myhostname and mydomain come from the system and from each other; a circle ends */
static void
params_test_hostname(void **state)
{
	static const char *const circles[] = {
		"mydomain = $myhostname\n", "myhostname = mx.$mydomain\n", "myorigin = $mydomain\nmydomain = $myorigin\n",
		"mydomain = $myhostname\nmyhostname = $mydomain\n", "myhostname = h.$mydomain.$mydomain.$mydomain\n",
	};
	struct buf out = BUF_INIT(1000), why = BUF_INIT(10000);
	struct main_cf *cf;
	char	host[256], *want;

	(void) state;
	assert_int_equal(gethostname(host, sizeof host), 0);
	params_default(params_find("myhostname"), NULL, &out);
	want = strchr(host, '.') != NULL ? mem_strdup(host) : mem_printf("%s.localdomain", host);
	assert_string_equal(buf_str(&out), want);
	mem_free(&want);

	cf = params_test_cf("mydomain = foo.example\n");
	buf_reset(&out);
	params_default(params_find("myhostname"), cf, &out);
	want = strchr(host, '.') != NULL ? mem_strdup(host) : mem_printf("%s.foo.example", host);
	assert_string_equal(buf_str(&out), want);
	mem_free(&want);
	main_cf_free(&cf);

	for (size_t i = 0; i < NELEM(circles); i++) {
		struct params *p;

		cf = params_test_cf(circles[i]);
		buf_reset(&why);
		p = params_load(cf, &why);		/* what comes out is less important than that it comes out */
		if (p == NULL && strstr(buf_str(&why), "unreasonable macro call nesting") == NULL)
			fail_msg("%s: %s", circles[i], buf_str(&why));
		params_free(&p);
		main_cf_free(&cf);
	}
	buf_fini(&out);
	buf_fini(&why);
}

/* Debian's myorigin = /etc/mailname */
static void
params_test_origin(void **state)
{
	static const struct {
		const char *content, *want;		/* want: value, or a part of the complaint when it begins with ! */
	} cases[] = {
		{ "mail.example.org\n", "mail.example.org" },
		{ "  mail.example.org \t\nsecond\n", "mail.example.org" },
		{ "mail.example.org", "mail.example.org" },
		{ "mail.example.org\r\n", "mail.example.org" },
		{ "", "!is not a domain name" },
		{ "\n", "!is not a domain name" },
		{ "$x\n", "!is not a domain name" },
		{ NULL, "!cannot read the file it names" },
	};
	char	path[] = "/tmp/params_test.XXXXXX";
	int	fd = mkstemp(path);

	(void) state;
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < NELEM(cases); i++) {
		char   *text = mem_printf("myorigin = %s\naddress_verify_sender = probe@$myorigin\n", path), *sender;
		struct main_cf *cf = params_test_cf(text);
		struct buf why = BUF_INIT(10000);
		struct params *p;
		FILE   *fp;

		if (cases[i].content == NULL)
			unlink(path);
		else {
			fp = fopen(path, "w");
			fputs(cases[i].content, fp);
			fclose(fp);
		}
		p = params_load(cf, &why);
		if (cases[i].want[0] == '!') {
			if (p != NULL || strstr(buf_str(&why), cases[i].want + 1) == NULL ||
			    strncmp(buf_str(&why), "/x/main.cf, line 1: parameter myorigin: ", 40) != 0)
				fail_msg("case %zu: %s", i, buf_str(&why));
		} else {
			if (p == NULL)
				fail_msg("case %zu: %s", i, buf_str(&why));
			assert_string_equal(p->myorigin, cases[i].want);
			sender = mem_printf("probe@%s", cases[i].want);
			assert_string_equal(p->address_verify_sender, sender);
			mem_free(&sender);
		}
		params_free(&p);
		main_cf_free(&cf);
		mem_free(&text);
		buf_fini(&why);
	}
}

/* what is taken, as the value's number or text */
static void
params_test_good(void **state)
{
	static const struct {
		const char *cf, *name;
		int64_t	    want;
	} numbers[] = {
		{ "max_idle = 2\n", "max_idle", 2000 },
		{ "max_idle = 2m\n", "max_idle", 120000 },
		{ "max_idle = 7days\n", "max_idle", 7 * 86400 * 1000ll },
		{ "address_verify_positive_expire_time = 7\n", "address_verify_positive_expire_time", 7 * 86400 * 1000ll },
		{ "address_verify_negative_refresh_time = 2\n", "address_verify_negative_refresh_time", 2 * 3600 * 1000ll },
		/* a bare number has the unit of the default, also where the default is another parameter */
		{ "address_verify_defer_expire_time = 2\n", "address_verify_defer_expire_time", 2 * 86400 * 1000ll },
		{ "address_verify_negative_expire_time = 2\n", "address_verify_defer_expire_time", 2 * 86400 * 1000ll },
		{ "address_verify_hold_time = 2500ms\n", "address_verify_hold_time", 2500 },
		{ "address_verify_hold_time = 60\n", "address_verify_hold_time", 60000 },
		{ "address_verify_cache_cleanup_interval = 0\n", "address_verify_cache_cleanup_interval", 0 },
		{ "max_use = +4\n", "max_use", 4 },
		{ "max_use = 2147483647\n", "max_use", 2147483647 },
	};
	static const struct {
		const char *cf, *name, *want;
	} texts[] = {
		{ "address_verify_reason_detail = code\n", "address_verify_reason_detail", "code" },
		{ "address_verify_map =\n", "address_verify_map", "" },
		{ "address_verify_map = btree:$data_directory/verify_cache\n", "address_verify_map",
		  "btree:/var/lib/postfix/verify_cache" },
		{ "address_verify_sender = <>\n", "address_verify_sender", "<>" },
		{ "syslog_facility = local7\n", "syslog_facility", "local7" },
		{ "maillog_file_permissions = 0640\n", "maillog_file_permissions", "0640" },
		{ "inet_protocols = ipv6, ipv4\n", "inet_protocols", "ipv6, ipv4" },
		{ "policy_checks = verify_sender,greylist verify_recipient\n", "policy_checks", "verify_sender,greylist verify_recipient" },
		{ "verify_prefork_limit = 4\n", "verify_prefork_limit", "4" },
		{ "compatibility_level = 3.10.1\n", "compatibility_level", "3.10.1" },
	};
	struct buf why = BUF_INIT(10000);

	(void) state;
	for (size_t i = 0; i < NELEM(numbers); i++) {
		struct main_cf *cf = params_test_cf(numbers[i].cf);
		struct params *p = params_load(cf, &why);
		int64_t got;

		if (p == NULL)
			fail_msg("%s%s", numbers[i].cf, buf_str(&why));
		got = *(int64_t *) ((char *) p + params_find(numbers[i].name)->offset);
		if (got != numbers[i].want)
			fail_msg("%s%s: got %lld, want %lld", numbers[i].cf, numbers[i].name, (long long) got,
			    (long long) numbers[i].want);
		params_free(&p);
		main_cf_free(&cf);
	}
	for (size_t i = 0; i < NELEM(texts); i++) {
		struct main_cf *cf = params_test_cf(texts[i].cf);
		struct params *p = params_load(cf, &why);

		if (p == NULL)
			fail_msg("%s%s", texts[i].cf, buf_str(&why));
		assert_string_equal(*(const char **) ((char *) p + params_find(texts[i].name)->offset), texts[i].want);
		params_free(&p);
		main_cf_free(&cf);
	}
	buf_fini(&why);
}

/* what is refused, and the whole line about it */
static void
params_test_bad(void **state)
{
	static const struct {
		const char *cf, *want;
	} cases[] = {
#define TIME_ADVICE "use digits and one of ms s m h d w, less than 24855d"
		{ "max_idle = 5x\n", "parameter max_idle: bad time value or unit: \"5x\"; " TIME_ADVICE },
		{ "max_idle =\n", "parameter max_idle: bad time value or unit: \"\"; " TIME_ADVICE },
		{ "max_idle = 7 d\n", "parameter max_idle: bad time value or unit: \"7 d\"; " TIME_ADVICE },
		{ "max_idle = -1s\n", "parameter max_idle: bad time value or unit: \"-1s\"; " TIME_ADVICE },
		{ "max_idle = 3H\n", "parameter max_idle: bad time value or unit: \"3H\"; " TIME_ADVICE },
		{ "max_idle = 24855d\n", "parameter max_idle: bad time value or unit: \"24855d\"; " TIME_ADVICE },
		{ "max_idle = 0\n", "parameter max_idle: \"0\" is too small; use 1s or more" },
		{ "max_idle = 999ms\n", "parameter max_idle: \"999ms\" is too small; use 1s or more" },
		{ "address_verify_hold_time = 61\n", "parameter address_verify_hold_time: \"61\" is too large; use 60s or less" },
		{ "max_use = 0\n", "parameter max_use: \"0\" is too small; use 1 or more" },
		{ "max_use = 1k\n", "parameter max_use: bad numerical value: \"1k\"; use decimal digits only" },
		{ "max_use = 0x10\n", "parameter max_use: bad numerical value: \"0x10\"; use decimal digits only" },
		{ "max_use =\n", "parameter max_use: bad numerical value: \"\"; use decimal digits only" },
		{ "max_use = 2147483648\n", "parameter max_use: \"2147483648\" is too large; use 2147483647 or less" },
		{ "max_use = 3 # x\n", "parameter max_use: bad numerical value: \"3 # x\"; use decimal digits only" },
		{ "address_verify_negative_cache = y\n",
		  "parameter address_verify_negative_cache: bad boolean value: \"y\"; use yes or no" },
		{ "greylist_cache_size = 64MB\n",
		  "parameter greylist_cache_size: bad size: \"64MB\"; use digits, and k, M or G" },
		{ "probe_inflight_size = 1k\n", "parameter probe_inflight_size: \"1k\" is too small; use 1M or more" },
		{ "probe_inflight_size = 65G\n",
		  "parameter probe_inflight_size: \"65G\" is too large; use 1G or less" },
		{ "queue_directory =\n",
		  "parameter queue_directory: must not be empty; write a value, or remove the line for the default" },
		{ "queue_directory = spool\n", "parameter queue_directory: bad value: \"spool\"; use an absolute path" },
		{ "address_verify_reason_detail = Full\n",
		  "parameter address_verify_reason_detail: bad value: \"Full\"; use full, code or fixed" },
		{ "address_verify_reason_detail = full code\n",
		  "parameter address_verify_reason_detail: bad value: \"full code\"; use full, code or fixed" },
		{ "syslog_facility = post\n",
		  "parameter syslog_facility: bad value: \"post\"; use a facility of syslog(3): mail, daemon, local0 ..." },
		{ "maillog_file = mail.log\n",
		  "parameter maillog_file: bad value: \"mail.log\"; use an absolute path, or nothing for syslog" },
		{ "maillog_file_permissions = 0666\n",
		  "parameter maillog_file_permissions: bad value: \"0666\"; use 0600, 0640 or 0644" },
		{ "address_verify_sender = @example.org\n",
		  "parameter address_verify_sender: bad value: \"@example.org\"; must not start with '@'" },
		{ "inet_protocols = ipv5\n", "parameter inet_protocols: bad value: \"ipv5\"; use all, ipv4, ipv6, or both names" },
		{ "inet_protocols = ,\n", "parameter inet_protocols: bad value: \",\"; use all, ipv4, ipv6, or both names" },
		{ "policy_checks = verify_sender greylist, verify_sender\n", "parameter policy_checks: bad value: "
		  "\"verify_sender greylist, verify_sender\"; use greylist, verify_recipient and verify_sender, each at most once" },
		{ "verify_prefork_limit = many\n", "parameter verify_prefork_limit: bad value: \"many\"; "
		  "use a number from 0 to 1000, or nothing for the number of CPUs" },
		{ "myorigin = a b\n", "parameter myorigin: bad value: \"a b\"; use a domain name" },
		{ "compatibility_level = 3.x\nsmtputf8_enable = yes\nrelay_domains =\n",
		  "parameter compatibility_level: bad value: \"3.x\"; use up to three numbers with dots, as in 3.6" },
		{ "max_use = $foo\n", "parameter max_use: bad numerical value: \"\"; use decimal digits only (written as \"$foo\")" },
		{ "max_use = ${foo\n", "parameter max_use: truncated macro reference: \"${foo\"; "
		  "write $$ for a dollar sign, and close what is opened (written as \"${foo\")" },
		{ "max_use = \033[2J\n", "parameter max_use: bad numerical value: \"?[2J\"; use decimal digits only" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf why = BUF_INIT(10000);
		struct main_cf *cf = params_test_cf(cases[i].cf);
		struct params *p = params_load(cf, &why);
		char   *want = mem_printf("/x/main.cf, line 1: %s", cases[i].want);

		if (p != NULL)
			fail_msg("%s: accepted", cases[i].cf);
		if (strcmp(buf_str(&why), want) != 0)
			fail_msg("%s: got\n%s\nwant\n%s", cases[i].cf, buf_str(&why), want);
		mem_free(&want);
		main_cf_free(&cf);
		buf_fini(&why);
	}
}

/* everything that is wrong is said at once, and where it was written */
static void
params_test_all_at_once(void **state)
{
	struct buf why = BUF_INIT(10000);
	struct main_cf *cf = params_test_cf("\nmax_idle = q\n\nmax_use = 0\nstress = yes\ntwo = 2x\n");

	(void) state;
	main_cf_set(cf, "max_use", "-1");
	main_cf_set(cf, "address_verify_negative_expire_time", "$two");
	assert_null(params_load(cf, &why));
	assert_string_equal(buf_str(&why),
	    /* and not at address_verify_defer_expire_time, whose default it is */
	    "-o: parameter address_verify_negative_expire_time: bad time value or unit: \"2x\"; " TIME_ADVICE
	    " (written as \"$two\")\n"
	    "/x/main.cf, line 2: parameter max_idle: bad time value or unit: \"q\"; " TIME_ADVICE "\n"
	    "-o: parameter max_use: \"-1\" is too small; use 1 or more");
	buf_reset(&why);
	assert_int_equal(params_test(cf, params_find("max_use"), &why), -1);
	assert_string_equal(buf_str(&why), "parameter max_use: \"-1\" is too small; use 1 or more");
	assert_int_equal(params_test(cf, params_find("ipc_ttl"), &why), 0);
	main_cf_free(&cf);
	buf_fini(&why);
}

static void
params_test_prefork(void **state)
{
	static const struct {
		const char *cf, *service;
		int	    maxproc, want;		/* want -1: refused; -2: the number of CPUs */
	} cases[] = {
		{ "", "verify", 0, -2 }, { "", "verify", 1, 1 }, { "", "policy", 10, 0 },
		{ "verify_prefork_limit = 3\n", "verify", 0, 3 }, { "verify_prefork_limit = 3\n", "verify", 2, 2 },
		{ "verify_prefork_limit = 0\n", "verify", 2, 0 }, { "verify_prefork_limit = x\n", "verify", 2, -1 },
		{ "policy_prefork_limit = $n\nn = 4\n", "policy", 100, 4 },
		{ "policy_prefork_limit = 1001\n", "policy", 100, -1 }, { "policy_prefork_limit = ${\n", "policy", 100, -1 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf why = BUF_INIT(1000);
		struct main_cf *cf = params_test_cf(cases[i].cf);
		int	got = params_prefork(cf, cases[i].service, cases[i].maxproc, &why);

		if (cases[i].want == -2 ? got < 1 : got != cases[i].want)
			fail_msg("%s%s: got %d, want %d", cases[i].cf, cases[i].service, got, cases[i].want);
		if ((got < 0) != (strncmp(buf_str(&why), "/x/main.cf, line 1: parameter ", 30) == 0))
			fail_msg("%s: %s", cases[i].cf, buf_str(&why));
		main_cf_free(&cf);
		buf_fini(&why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(params_test_table),
		cmocka_unit_test(params_test_eval),
		cmocka_unit_test(params_test_hostname),
		cmocka_unit_test(params_test_origin),
		cmocka_unit_test(params_test_good),
		cmocka_unit_test(params_test_bad),
		cmocka_unit_test(params_test_all_at_once),
		cmocka_unit_test(params_test_prefork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
