/* tests/daemons/smtpd_plugins_test.c - the plugins file and what comes of it; notes; headers and readers of a message
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <daemons/smtpd/plugins_file.h>
#include <tests/lib/smtpd_rig.h>
#include <util/mem.h>
#include <util/msg.h>

/* the text of a file -> "name instance arg arg;..." or the complaint */
static void
files(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "", "" }, { "# nothing\n\n  \t\n", "" }, { "a", "a a;" }, { "a\nb x\n", "a a;b b x;" }, { "  a\tx  y\r\n", "a a x y;" },
		{ "a:1 x # y\n", "a a:1 x;" }, { "a x#y\n", "a a x#y;" }, { "queue/smtp h 25\n", "queue/smtp queue/smtp h 25;" },
		{ "a \"x y\" \"\" \"q\\\"\\\\\" z\"1 2\"\n", "a a x y  q\"\\ z1 2;" }, { "a\na:1\na:2\n", "a a;a a:1;a a:2;" },
		{ "a\na\n", "line 2: a stands already in line 1: call the second a:1" }, { "a:1\nb\na:1\n", "line 3: a:1 stands already *" },
		{ "a:\n", "line 1: after a plugin's name*" }, { "a:x\n", "line 1: after*" }, { "a:1:2\n", "line 1: after*" },
		{ "a.b\n", "line 1: after*" }, { "/a\n", "line 1: a plugin's name*" }, { "a/\n", "line 1: a plugin's name*" },
		{ "a//b\n", "line 1: a plugin's name*" }, { "../a\n", "line 1: a plugin's name*" }, { ":1\n", "line 1: a plugin's name*" },
		{ "\"\" x\n", "line 1: a plugin's name*" }, { "a \"x\n", "line 1: a quote is not closed" },
		{ "a\nb \x01\n", "line 2: only printable ASCII*" }, { "a \xc3\xbc\n", "line 1: only printable ASCII*" },
	};
	struct buf got = BUF_INIT(10000), why = BUF_INIT(1000);
	struct plugins_file f;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		size_t	n = strlen(rows[i].want);
		bool	part = n > 0 && rows[i].want[n - 1] == '*';

		buf_reset(&got);
		buf_reset(&why);
		if (plugins_file_parse(&f, rows[i].text, strlen(rows[i].text), &why) < 0)
			buf_adds(&got, buf_str(&why));
		else
			for (size_t l = 0; l < f.n; l++) {
				buf_addf(&got, "%s", f.line[l].name);
				for (int a = 0; a < f.line[l].argc; a++)
					buf_addf(&got, " %s", f.line[l].argv[a]);
				buf_adds(&got, ";");
			}
		if (part ? strncmp(buf_str(&got), rows[i].want, n - 1) != 0 : strcmp(buf_str(&got), rows[i].want) != 0)
			fail_msg("row %zu: got \"%s\", want \"%s\"", i, buf_str(&got), rows[i].want);
		plugins_file_fini(&f);
	}
	/* as much as there may be, and more */
	buf_fini(&got);
	buf_init(&got, 1u << 20);
	for (int i = 0; i <= PLUGINS_MAX; i++) {
		assert_int_equal(plugins_file_parse(&f, buf_str(&got), got.len, &why), 0);
		plugins_file_fini(&f);
		buf_addf(&got, "a:%d\n", i);
	}
	buf_reset(&why);
	assert_int_equal(plugins_file_parse(&f, buf_str(&got), got.len, &why), -1);
	assert_string_equal(buf_str(&why), "line 101: too many plugins");
	plugins_file_fini(&f);
	buf_fini(&got);
	buf_fini(&why);
}

/* instances, with the arguments that are not common ones; init, worker_init and fini in order */
static char story[1000];

static int
tale_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	size_t	n = strlen(story);
	char  **list;

	if (argc > 1 && strcmp(argv[1], "bad") == 0)
		return vh_error(err, "what is %s?", argv[1]);
	n += (size_t) snprintf(story + n, sizeof story - n, "init %s", argv[0]);
	for (int i = 1; i < argc; i++)
		n += (size_t) snprintf(story + n, sizeof story - n, " %s", argv[i]);
	assert_null(argv[argc]);
	if ((list = vh_config(inst, "list")) != NULL)
		for (; *list != NULL; list++)
			n += (size_t) snprintf(story + n, sizeof story - n, " <%s>", *list);
	snprintf(story + n, sizeof story - n, ";");
	vh_set_data(inst, argc > 1 ? inst : NULL);
	return 0;
}

static int
tale_worker(struct vh_inst *inst, struct vh_err *err)
{
	size_t	n = strlen(story);

	snprintf(story + n, sizeof story - n, "worker %s;", vh_name(inst));
	return vh_data(inst) == inst && strcmp(vh_name(inst), "tale:9") == 0 ? vh_error(err, "not today") : 0;
}

static void
tale_fini(struct vh_inst *inst)
{
	size_t	n = strlen(story);

	snprintf(story + n, sizeof story - n, "fini %s;", vh_name(inst));
}

static enum vh_rc
tale_hook(struct vh_call *c)
{
	return vh_hook(c) == VH_HOOK_CONFIG && strcmp(vh_arg(c), "list") == 0 ? vh_reply(c, VH_OK, NULL, "one\n # no\n  two ") : VH_DECLINED;
}

static const struct vh_plugin tale = {
	.abi = VH_ABI, .name = "tale", .init = tale_init, .worker_init = tale_worker, .fini = tale_fini,
	.hooks = (const struct vh_hook_fn[]) { { VH_HOOK_QUEUE, tale_hook }, { VH_HOOK_RCPT, tale_hook }, { VH_END, NULL } }
};
static const struct vh_plugin lists = {
	.abi = VH_ABI, .name = "lists", .hooks = (const struct vh_hook_fn[]) { { VH_HOOK_CONFIG, tale_hook }, { VH_END, NULL } }
};
static const struct vh_plugin *const more[] = { &tale, &lists, NULL };

static void
instances(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "tale a b\ntale:1\n", "init tale a b;init tale:1;worker tale;worker tale:1;fini tale:1;fini tale;" },
		{ "tale reject 0 a loglevel +1 reject_type temp b time_limit 5s on_error denysoft\n", "init tale a b;worker tale;fini tale;" },
		{ "tale\nlists\ntale:1\n", "init tale;init tale:1 <one> <two>;worker tale;worker tale:1;fini tale:1;fini tale;" },
	};
	static const struct { const char *text, *why; } bad[] = {
		{ "tale\ntale:1 bad\n", "f, line 2: tale:1: what is bad?" }, { "tale reject 2\n", "f, line 1: tale: reject 2: use 0, 1 or naughty" },
		{ "tale reject\n", "f, line 1: tale: reject : use 0, 1 or naughty" }, { "tale loglevel 8\n", "f, line 1: tale: loglevel 8: use *" },
		{ "tale time_limit 0\n", "f, line 1: tale: time_limit 0: use *" }, { "tale on_error deny\n", "f, line 1: tale: on_error deny: use *" },
		{ "lists x\n", "f, line 1: lists: takes no arguments but the common ones: x" }, { "nosuch\n", "f, line 1: no plugin nosuch: *" },
		{ "tale:9 x\n", "f, line 1: tale:9: not today" },
	};
	struct buf why = BUF_INIT(4000), shown = BUF_INIT(4000);

	(void) state;
	loader_more = more;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct plugins *set;

		story[0] = 0;
		set = plugins_parse("f", rows[i].text, strlen(rows[i].text), "", "/nonexistent", &why);
		if (set == NULL || plugins_start(set, &why) < 0)
			fail_msg("%s: %s", rows[i].text, buf_str(&why));
		plugins_free(&set);
		if (strcmp(story, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].text, story);
	}
	for (size_t i = 0; i < NELEM(bad); i++) {
		size_t	n = strlen(bad[i].why);
		struct plugins *set = plugins_parse("f", bad[i].text, strlen(bad[i].text), "", "/nonexistent", &why);

		if (set != NULL && plugins_start(set, &why) == 0)
			fail_msg("%s: accepted", bad[i].text);
		plugins_free(&set);
		if (bad[i].why[n - 1] == '*' ? strncmp(buf_str(&why), bad[i].why, n - 1) != 0 : strcmp(buf_str(&why), bad[i].why) != 0)
			fail_msg("%s: %s", bad[i].text, buf_str(&why));
		buf_reset(&why);
	}
	{
		struct plugins *set = plugins_parse("f", "tale:1\nlists\ntale\n", 18, "", "/nonexistent", &why);

		plugins_show(set, &shown);
		assert_string_equal(buf_str(&shown), "config                 lists\nrcpt                   tale:1 tale\nqueue                  tale:1 tale\n");
		assert_ptr_equal(plugins_find(set, "tale:1"), set->inst[0]);
		assert_null(plugins_find(set, "tale:2"));
		plugins_free(&set);
	}
	loader_more = NULL;
	buf_fini(&why);
	buf_fini(&shown);
}

static unsigned destroyed;

static void
destroy(void *p)
{
	assert_ptr_equal(p, &destroyed);
	destroyed++;
}

static void
notes(void **state)
{
	struct vh_notes n = { NULL };

	(void) state;
	assert_int_equal(vh_note_int(&n, "a", 7), 7);
	assert_null(vh_note_str(&n, "a"));
	vh_note_set_int(&n, "a", 0);
	assert_true(vh_note_has(&n, "a"));
	assert_int_equal(vh_note_int(&n, "a", 7), 0);
	vh_note_set_str(&n, "a", "text");			/* another kind takes its place */
	assert_int_equal(vh_note_int(&n, "a", 7), 7);
	vh_note_set_str(&n, "a", vh_note_str(&n, "a"));		/* its own */
	assert_string_equal(vh_note_str(&n, "a"), "text");
	vh_note_set_ptr(&n, "b", &destroyed, destroy);
	assert_ptr_equal(vh_note_ptr(&n, "b"), &destroyed);
	vh_note_set_ptr(&n, "b", &destroyed, destroy);
	assert_int_equal(destroyed, 1);
	vh_note_clear(&n, "b");
	vh_note_clear(&n, "b");
	assert_int_equal(destroyed, 2);
	assert_false(vh_note_has(&n, "b"));
	vh_note_set_ptr(&n, "c", &destroyed, destroy);
	notes_fini(&n);
	assert_int_equal(destroyed, 3);
	assert_false(vh_note_has(&n, "a"));
}

/* the header of a message, in any cut, in memory and in a file */
static void
headers(void **state)
{
	static const struct { const char *text; size_t head, body; const char *subject; } rows[] = {
		{ "Subject: a\r\n\r\nbody\r\n", 12, 14, "a" }, { "\r\nSubject: a\r\n", 0, 2, NULL }, { "", 0, 0, NULL },
		{ "X: y\r\nsubject : a b \r\n\r\n", 22, 24, "a b " }, { "Subject: a\r\n b\r\n\tc\r\nX: y\r\n\r\n", 26, 28, "a\r\n b\r\n\tc" },
		{ "Subject: a\r\nno header\r\nX: y\r\n\r\n", 12, 12, "a" }, { " Subject: a\r\n\r\n", 0, 0, NULL },
		{ "Subject: a\r\nX", 12, 12, "a" }, { "Subject: a\r\n", 12, 12, "a" }, { "Subject:\r\n\r\n", 10, 12, "" },
		{ "Subjects: a\r\nXSubject: b\r\n\r\n", 26, 28, NULL }, { "X\x80: a\r\n\r\n", 0, 0, NULL },
	};
	struct smtpd_rig rig;

	(void) state;
	smtpd_rig_begin(&rig, "", NULL);
	for (size_t i = 0; i < NELEM(rows); i++)
		for (size_t piece = 1; piece <= strlen(rows[i].text) + 1; piece++)
			for (int file = 0; file < 2; file++) {
				struct vh_conn conn = { .id = "X" };
				struct vh_txn *t = txn_new(&conn);
				struct header_scan h;
				size_t	len = 0;
				const char *value;

				if (file)
					t->body.threshold = 1;
				header_scan_init(&h);
				for (size_t at = 0; at < strlen(rows[i].text); at += piece) {
					size_t	n = strlen(rows[i].text) - at < piece ? strlen(rows[i].text) - at : piece;

					if (!h.done)
						header_scan_add(&h, t, rows[i].text + at, n);
					body_add(&t->body, rows[i].text + at, n);
				}
				header_scan_end(&h, t);
				value = vh_header(t, "SUBJECT", 0, &len);
				if (t->head_size != rows[i].head || t->body_at != rows[i].body || (value == NULL) != (rows[i].subject == NULL) ||
				    (value != NULL && (len != strlen(rows[i].subject) || memcmp(value, rows[i].subject, len) != 0)))
					fail_msg("row %zu in pieces of %zu: header %llu, body at %llu, \"%.*s\"", i, piece,
					    (unsigned long long) t->head_size, (unsigned long long) t->body_at, (int) len, value);
				txn_free(&t);
			}
	smtpd_rig_end(&rig);
}

static void
added_headers(void **state)
{
	static const struct { const char *name, *value; bool ok; } rows[] = {
		{ "A", "one", true }, { "B", "two\n folded", true }, { "C", "bad\nX: y", false }, { "C", "bad\r\n y", false }, { "C", "x\n", false },
		{ "", "x", false }, { "C:", "x", false }, { "C D", "x", false }, { "C", "\x80", false }, { "D", "\xc3\xbc", true },
		{ "C", "\x01", false },
	};
	struct smtpd_rig rig;
	struct vh_conn conn = { .id = "X" };
	struct vh_reader *r;
	struct vh_txn *t;
	char	got[200] = "", part[7];
	ssize_t n;

	(void) state;
	smtpd_rig_begin(&rig, "", NULL);
	t = txn_new(&conn);
	body_add(&t->body, "M: x\r\n\r\nbody\r\n", 14);
	t->head_size = 6;
	t->body_at = 8;
	for (size_t i = 0; i < NELEM(rows); i++)
		if (vh_header_add(t, rows[i].name, rows[i].value) != rows[i].ok)
			fail_msg("row %zu", i);
	r = vh_reader_open(t, VH_MESSAGE);
	while ((n = vh_reader_read(r, part, sizeof part)) > 0)
		strncat(got, part, (size_t) n);
	vh_reader_close(&r);
	assert_string_equal(got, "D: \xc3\xbc\r\nB: two\r\n folded\r\nA: one\r\nM: x\r\n\r\nbody\r\n");
	assert_int_equal(vh_message_size(t, VH_MESSAGE), strlen(got));
	assert_int_equal(vh_message_size(t, VH_RECEIVED), 14);
	assert_int_equal(vh_message_size(t, VH_BODY), 6);
	r = vh_reader_open(t, VH_BODY);
	assert_int_equal(vh_reader_read(r, part, 4), 4);
	assert_memory_equal(part, "body", 4);
	vh_reader_close(&r);
	n = vh_tempfile(t);
	assert_true(n >= 0 && fcntl((int) n, F_GETFD) >= 0);
	txn_free(&t);
	assert_int_equal(fcntl((int) n, F_GETFD), -1);		/* closed with the transaction */
	smtpd_rig_end(&rig);
}

static int
quiet(void **state)
{
	(void) state;
	msg_to_stderr(NULL);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(instances),
		cmocka_unit_test(notes),
		cmocka_unit_test(headers),
		cmocka_unit_test(added_headers),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
