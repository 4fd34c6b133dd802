/* tests/daemons/master_plan_test.c - what a configuration asks for, and what is refused */
#include <daemons/master/plan.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/master_rig.h>
#include <util/mem.h>

static struct plan *
load(const struct plan *old, struct buf *why)
{
	char   *etc = mem_printf("%s/etc", master_rig.dir);
	struct plan *p = plan_load(etc, old, why);

	mem_free(&etc);
	return p;
}

/* one line of master.cf: what becomes of it */
static void
test_services(void **state)
{
	static const struct {
		const char *line, *id;
		bool	remote;
		int	maxproc, prefork;
	} rows[] = {
		{ "probe unix - - n - 3 childd",		"private/probe",	false, 3,   0 },
		{ "probe unix n - n - 0 childd",		"public/probe",		false, 0,   0 },
		{ "probe unix - - n - - childd",		"private/probe",	false, 77,  0 },
		{ "post unix-dgram n - n - 1 childd",		"public/post",		false, 1,   0 },
		{ "pick fifo n - n - 1 childd",			"public/pick",		false, 1,   0 },
		{ "given pass - - n - 5 childd",		"private/given",	true,  5,   0 },
		{ "127.0.0.1:2599 inet n - n - 5 childd",	"[127.0.0.1]:2599",	false, 5,   0 },
		{ "192.0.2.1:2599 inet n - n - 5 childd",	"[192.0.2.1]:2599",	true,  5,   0 },
		{ "2599 inet n - n - 5 childd",			"2599",			true,  5,   0 },
		{ "smtp inet n - n - 5 childd",			"25",			true,  5,   0 },
		{ "many unix - - n - 5 childd",			"private/many",		false, 5,   3 },
		{ "many unix - - n - 2 childd",			"private/many",		false, 2,   2 },
		{ "many unix - - n - 0 childd",			"private/many",		false, 0,   3 },
	};
	struct buf why = BUF_INIT(4000);

	(void) state;
	rig_main_cf(&master_rig, "default_process_limit = 77\nmany_prefork_limit = 3\n");
	for (size_t i = 0; i < NELEM(rows); i++) {
		const struct plan_service *s;
		struct plan *p;

		rig_master_cf(&master_rig, rows[i].line);
		if ((p = load(NULL, &why)) == NULL)
			fail_msg("%s: %s", rows[i].line, buf_str(&why));
		s = TAILQ_FIRST(&p->services);
		if (strcmp(s->id, rows[i].id) != 0 || s->remote != rows[i].remote || s->maxproc != rows[i].maxproc ||
		    s->prefork != rows[i].prefork)
			fail_msg("%s: got %s %d %d %d, want %s %d %d %d", rows[i].line, s->id, s->remote, s->maxproc, s->prefork,
			    rows[i].id, rows[i].remote, rows[i].maxproc, rows[i].prefork);
		assert_ptr_equal(plan_find(p, s->entry->type, rows[i].id), s);
		plan_free(&p);
	}
	buf_fini(&why);
}

/* each fault alone; the text must name file, line and reason */
static void
test_faults(void **state)
{
	static const struct { const char *main_cf, *master_cf, *want; } rows[] = {
		{ "", "probe unix - - n - 1 nosuch", "/etc/master.cf: line 1: service probe: program" },
		{ "", "probe unix - - n - 1 nosuch", "/libexec/nosuch: No such file or directory; correct the line" },
		{ "", "probe unix - - n - 1 ../etc/main.cf", "../etc/main.cf: not executable" },
		{ "", "probe unix - - n - 1 ../etc", "../etc: not a regular file" },
		{ "", "#\nnope inet n - n - 1 childd", "/etc/master.cf: line 2: service nope: unknown port \"nope\"" },
		{ "", "no.such.host.invalid:25 inet n - n - 1 childd", "bad hostname or network address: no.such.host.invalid" },
		{ "", "x inet - - n - 1 childd", "/etc/master.cf: line 1: inet service cannot be private" },
		{ "", "x unix - - n - 1", "/etc/master.cf: line 1: missing \"command\" field" },
		{ "default_process_limit = none\n", "", "/etc/main.cf, line 9: parameter default_process_limit: bad numerical value" },
		{ "broken\n", "", "/etc/main.cf, line 9: missing '='" },
		{ "many_prefork_limit = lots\n", "many unix - - n - 1 childd", "many_prefork_limit" },
		{ "mail_owner = nosuchuser\n", "", "parameter mail_owner: no such user: \"nosuchuser\"" },
		{ "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
		  "unix - - n - 1 childd", "is too long for a socket; use at most 107 bytes" },
	};
	struct buf why = BUF_INIT(4000);

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct plan *p;

		rig_main_cf(&master_rig, rows[i].main_cf);
		rig_master_cf(&master_rig, rows[i].master_cf);
		buf_reset(&why);
		if ((p = load(NULL, &why)) != NULL)
			fail_msg("row %zu: \"%s\" was accepted, want \"%s\"", i, rows[i].master_cf, rows[i].want);
		if (strstr(buf_str(&why), rows[i].want) == NULL)
			fail_msg("row %zu: got \"%s\", want \"%s\"", i, buf_str(&why), rows[i].want);
	}
	buf_fini(&why);
}

/* an administrator hears of all faults at once, one line each */
static void
test_all_faults(void **state)
{
	struct buf why = BUF_INIT(4000);
	unsigned lines = 1;

	(void) state;
	rig_master_cf(&master_rig,
	    "a unix - - n - 1 nosuch\nb inet n - n - 1 childd\nc unix - - n - 1 childd\nd unix - - n - 1 nosuch\n");
	assert_null(load(NULL, &why));
	for (const char *p = buf_str(&why); *p != 0; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 3);
	assert_non_null(strstr(buf_str(&why), "line 4: service d"));
	buf_fini(&why);
}

static void
test_disable(void **state)
{
	static const struct { const char *list; const char *left; } rows[] = {
		{ "",				"a/unix b/unix 2599/inet " },
		{ "unix",			"2599/inet " },
		{ "INET, a/UNIX",		"b/unix " },
		{ "a.unix",			"b/unix 2599/inet " },
		{ "!a/unix unix",		"a/unix 2599/inet " },
		{ "unix !a/unix",		"2599/inet " },
		{ "!!inet",			"a/unix b/unix " },
		{ "c/unix fifo",		"a/unix b/unix 2599/inet " },
	};
	struct buf why = BUF_INIT(4000);

	(void) state;
	rig_master_cf(&master_rig, "a unix - - n - 1 childd\nb unix - - n - 1 childd\n2599 inet n - n - 1 childd\n");
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct buf got = BUF_INIT(1000);
		char	text[200];
		const struct plan_service *s;
		struct plan *p;

		snprintf(text, sizeof text, "master_service_disable = %s\n", rows[i].list);
		rig_main_cf(&master_rig, text);
		if ((p = load(NULL, &why)) == NULL)
			fail_msg("%s", buf_str(&why));
		TAILQ_FOREACH(s, &p->services, link)
			buf_addf(&got, "%s/%s ", s->entry->name, master_cf_type_name(s->entry->type));
		if (strcmp(buf_str(&got), rows[i].left) != 0)
			fail_msg("\"%s\": got \"%s\", want \"%s\"", rows[i].list, buf_str(&got), rows[i].left);
		buf_fini(&got);
		plan_free(&p);
	}
	buf_fini(&why);
}

static void
test_duplicate(void **state)
{
	struct buf why = BUF_INIT(4000);
	struct plan *p;
	const struct plan_service *s;

	(void) state;
	rig_master_cf(&master_rig,
	    "probe unix - - n - 1 childd\nsmtp inet n - n - 1 childd\nprobe unix - - n - 2 childd\n25 inet n - n - 3 childd\n"
	    "probe unix n - n - 4 childd\n");
	assert_non_null(p = load(NULL, &why));
	assert_non_null(strstr(buf_str(&p->notes),
	    "duplicate master.cf entry for service \"probe\" (private/probe) -- using the last entry\n"));
	assert_non_null(s = plan_find(p, MASTER_UNIX, "private/probe"));
	assert_int_equal(s->maxproc, 2);
	assert_non_null(s = plan_find(p, MASTER_INET, "25"));
	assert_int_equal(s->maxproc, 3);
	assert_non_null(s = plan_find(p, MASTER_UNIX, "public/probe"));
	assert_null(plan_find(p, MASTER_PASS, "public/probe"));
	plan_free(&p);
	buf_fini(&why);
}

/* a parameter that counts at start only: checked, noted, not used, also where another refers to it */
static void
test_start_parameters(void **state)
{
	struct buf why = BUF_INIT(4000);
	static char huge[120000];
	struct plan *old, *p;
	char	data[100];

	(void) state;
	memset(huge, 'x', sizeof huge - 1);
	snprintf(data, sizeof data, "%s/data", master_rig.dir);
	assert_non_null(old = load(NULL, &why));
	rig_main_cf(&master_rig, "data_directory = /somewhere/else\nmaillog_file = $data_directory/log\nmax_use = 5\n");
	assert_non_null(p = load(old, &why));
	assert_string_equal(p->params->data_directory, data);
	assert_int_equal(p->params->max_use, 5);
	assert_non_null(strstr(buf_str(&p->notes), "ignoring data_directory parameter value change: "));
	assert_non_null(strstr(buf_str(&p->notes), "\"/somewhere/else\" comes with stop and start"));
	assert_non_null(strstr(p->params->maillog_file, data));
	assert_int_equal(strncmp(buf_str(&p->kept), "data_directory=", 15), 0);	/* and nothing that comes at once */
	assert_int_equal(strncmp(buf_str(&p->kept) + 15, data, strlen(data)), 0);
	assert_string_equal(buf_str(&p->kept) + 15 + strlen(data), "\n");
	plan_free(&p);
	/* what goes to the log has no password in it */
	rig_main_cf(&master_rig, "greylist_map = pgsql:host=db.example password=hidden\n");
	assert_non_null(p = load(old, &why));
	assert_non_null(strstr(buf_str(&p->notes), "ignoring greylist_map parameter value change: "));
	assert_null(strstr(buf_str(&p->notes), "hidden"));
	plan_free(&p);
	/* what daemons cannot be told is not half told */
	main_cf_set(old->cf, "greylist_secret_file", huge);
	assert_null(load(old, &why));
	assert_non_null(strstr(buf_str(&why), "stop and start instead"));
	buf_reset(&why);
	main_cf_set(old->cf, "greylist_secret_file", "");
	rig_main_cf(&master_rig, "data_directory = relative\n");
	assert_null(load(old, &why));
	assert_non_null(strstr(buf_str(&why), "data_directory"));
	plan_free(&old);
	buf_fini(&why);
}

static void
test_unreadable(void **state)
{
	struct buf why = BUF_INIT(4000);
	char	path[100];

	(void) state;
	snprintf(path, sizeof path, "%s/etc/master.cf", master_rig.dir);
	unlink(path);
	assert_null(load(NULL, &why));
	assert_non_null(strstr(buf_str(&why), "master.cf: No such file or directory"));
	buf_fini(&why);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_services, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_faults, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_all_faults, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_disable, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_duplicate, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_start_parameters, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, master_rig_setup, master_rig_teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
