/* tests/commands/vouch_bulk_test.c - vouch verify: reading a list in any pieces, asking in order within a window, continuing
 * a file of answers
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <commands/vouch/bulk.h>
#include <commands/vouch/bulk_input.h>
#include <commands/vouch/bulk_output.h>
#include <util/mem.h>
#include <util/msg.h>
#include <tests/lib/command.h>
#include <tests/lib/verify_stub.h>

/* the list */

/* bulk_read - every record of a list fed in pieces: "LINE:ADDRESS " or "LINE!WHY " */
static char *
bulk_read(const char *text, size_t len, size_t piece, enum bulk_form form, const char *column)
{
	struct buf out = BUF_INIT(1 << 20);
	struct bulk_input in;
	struct bulk_record r;
	size_t	pos = 0, n;

	bulk_input_init(&in, form, column);
	for (;;) {
		switch (bulk_input_next(&in, &r)) {
		case BULK_INPUT_RECORD:
			buf_addf(&out, "%llu%s%s ", (unsigned long long) r.line, r.why != NULL ? "!" : ":",
			    r.why != NULL ? r.why : r.addr);
			continue;
		case BULK_INPUT_MORE:
			n = piece < len - pos ? piece : len - pos;
			bulk_input_feed(&in, text + pos, n);
			pos += n;
			continue;
		case BULK_INPUT_NO_COLUMN:
			buf_adds(&out, "no column");
			break;
		case BULK_INPUT_END:
			break;
		}
		break;
	}
	bulk_input_fini(&in);
	return out.data != NULL ? buf_take(&out) : mem_strdup("");
}

static void
test_input(void **state)
{
	static const struct { const char *text; enum bulk_form form; const char *column, *want; } cases[] = {
		/* lines */
		{ "", BULK_GUESS, NULL, "" },
		{ "\n\n \n", BULK_GUESS, NULL, "" },
		{ "a@x", BULK_GUESS, NULL, "1:a@x " },
		{ "a@x\nb@x\n", BULK_GUESS, NULL, "1:a@x 2:b@x " },
		{ "a@x\r\n\r\n b@x \r\n", BULK_GUESS, NULL, "1:a@x 3:b@x " },
		{ "\xef\xbb\xbf" "a@x\nb@x", BULK_GUESS, NULL, "1:a@x 2:b@x " },
		{ "a@x\na@x\na@x\n", BULK_GUESS, NULL, "1:a@x 2:a@x 3:a@x " },
		{ "Email\na@x\n", BULK_GUESS, NULL, "2:a@x " },
		{ "\n\naddress\na@x\n", BULK_GUESS, NULL, "4:a@x " },
		{ "a@x\nemail\n", BULK_GUESS, NULL, "1:a@x 2!no @ " },
		{ "ann\n@x\nann@\na\tb@x\n\xff@x\n\"a b\"@x\n\xc3\xa4@x\n", BULK_LINES, NULL,
		  "1!no @ 2!nothing before the @ 3!nothing after the @ 4!a control character 5!not UTF-8 6:\"a b\"@x 7:\xc3\xa4@x " },
		{ "\"a,b\"@x\nc@x\n", BULK_LINES, NULL, "1:\"a,b\"@x 2:c@x " },
		{ "\"a b\"@x\n", BULK_GUESS, NULL, "1:\"a b\"@x " },
		/* CSV */
		{ "a@x,1\nb@x,2\n", BULK_GUESS, NULL, "1:a@x 2:b@x " },
		{ "who,n\na@x,1\n", BULK_GUESS, NULL, "2:a@x " },
		{ "name,Email\nAnn,a@x\n", BULK_GUESS, NULL, "2:a@x " },
		{ "email,address\nb@x,a@x\n", BULK_GUESS, NULL, "2:a@x " },
		{ "\"a@x\"\n\"b@x\"\n", BULK_GUESS, NULL, "1:a@x 2:b@x " },
		{ "\"Smith, \"\"Ann\"\"\",a@x\n", BULK_GUESS, "2", "1:a@x " },
		{ "name,to\nAnn,a@x\n", BULK_GUESS, "2", "2:a@x " },
		{ "name,to\nAnn,a@x\nBob\n", BULK_GUESS, "to", "2:a@x 3!too few fields " },
		{ "name,to\nAnn,a@x\n", BULK_GUESS, "from", "no column" },
		{ "to\na@x\n", BULK_GUESS, "TO", "2:a@x " },
		{ "n,to\n1,\"multi\nline\"\n2,a@x\n", BULK_CSV, "to", "2!a control character 4:a@x " },
		{ "\"x\ny\",a@x\nz,b@x\n", BULK_CSV, "2", "1:a@x 3:b@x " },
		{ "a@x,\"open\nb@x,c\n", BULK_CSV, NULL, "1:a@x 2:b@x " },		/* a mistake of one line */
		{ "a@x,o\"pen\nb@x,c\n", BULK_CSV, NULL, "1:a@x 2:b@x " },
		{ ",\n", BULK_CSV, "1", "" },						/* no @ in it: a header */
		{ "a@x,\n,\n", BULK_CSV, NULL, "1:a@x 2!no address " },
		/* JSON lines */
		{ "{\"address\":\"a@x\"}\n{\"email\":\"b@x\"}\n", BULK_GUESS, NULL, "1:a@x 2:b@x " },
		{ " {\"a\":1,\"to\":\"a@x\"}\n\n{}\n", BULK_GUESS, "to", "1:a@x 3!no address in this object " },
		{ "{\"address\":1}\n{\"address\":\"a@x\"\na@x\n", BULK_JSON, NULL,
		  "1!the address is no string 2!not a JSON object 3!not a JSON object " },
		{ "{\"address\":\"a\\nb@x\"}", BULK_JSON, NULL, "1!a control character " },
	};
	static const size_t pieces[] = { 1, 2, 3, 7, BULK_RECORD_MAX };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		for (size_t k = 0; k < NELEM(pieces); k++) {
			char   *got = bulk_read(cases[i].text, strlen(cases[i].text), pieces[k], cases[i].form, cases[i].column);

			if (strcmp(got, cases[i].want) != 0)
				fail_msg("%s in pieces of %zu: got \"%s\", want \"%s\"", cases[i].text, pieces[k], got,
				    cases[i].want);
			free(got);
		}
}

/* what is too long, or open for too long, is one mistake; what follows is read */
static void
test_input_limits(void **state)
{
	static const struct { const char *name, *lead; enum bulk_form form; size_t pad; const char *want; } cases[] = {
		{ "line of the greatest length", "", BULK_LINES, BULK_RECORD_MAX - 3, NULL },
		{ "line too long", "", BULK_LINES, BULK_RECORD_MAX - 2, "1!the line is too long 2:b@x " },
		{ "line far too long", "", BULK_LINES, 10 * BULK_RECORD_MAX, "1!the line is too long 2:b@x " },
		{ "first line too long", "", BULK_GUESS, 2 * BULK_RECORD_MAX, "1!the line is too long 2:b@x " },
		{ "CSV line too long", "c@x,", BULK_CSV, 3 * BULK_RECORD_MAX, "1!the line is too long 2:b@x " },
		{ "quote open for too long", "c@x,\"\n", BULK_CSV, 3 * BULK_RECORD_MAX, "1:c@x 2!the line is too long 3:b@x " },
	};
	static const size_t pieces[] = { 4096, 50000, BULK_RECORD_MAX };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		for (size_t k = 0; k < NELEM(pieces); k++) {
			struct buf text = BUF_INIT(4 << 20);
			char   *got;

			buf_adds(&text, cases[i].lead);
			for (size_t n = 0; n < cases[i].pad; n++)
				buf_addc(&text, 'a');
			buf_adds(&text, "@x\nb@x\n");
			got = bulk_read(text.data, text.len, pieces[k], cases[i].form, NULL);
			if (cases[i].want != NULL ? strcmp(got, cases[i].want) != 0 : strstr(got, "@x 2:b@x") == NULL)
				fail_msg("%s, in pieces of %zu: got \"%.200s\"", cases[i].name, pieces[k], got);
			free(got);
			buf_fini(&text);
		}
}

static void
test_input_nul(void **state)
{
	static const char text[] = "a@x\0y\nb@x\n";
	char   *got = bulk_read(text, sizeof text - 1, 4096, BULK_LINES, NULL);

	(void) state;
	assert_string_equal(got, "1!a control character 2:b@x ");
	free(got);
}

/* asking */

static struct bulk_fix {
	char   *dir, path[200];
	struct ev_loop *loop;
	struct verify_stub stub;
	struct bulk *bulk;
	struct buf	got;		/* of all answers: "ADDR=RESULT/STATUS " */
	unsigned add, added, rooms;	/* how many room may still add, and has */
} fix;

static void
fix_answer(void *ctx, const struct bulk_answer *a)
{
	assert_ptr_equal(ctx, &fix);
	buf_addf(&fix.got, "%s=%d/%d ", a->addr, a->result, a->result == BULK_ANSWERED ? (int) a->status :
	    a->in_progress ? VERIFY_TODO : -1);
}

static void
fix_room(void *ctx)
{
	char	addr[32];

	(void) ctx;
	fix.rooms++;
	for (; fix.add > 0 && bulk_has_room(fix.bulk); fix.add--) {
		snprintf(addr, sizeof addr, "0@%u", fix.added++);
		bulk_add(fix.bulk, addr);
	}
}

static int
fix_setup(void **state)
{
	(void) state;
	memset(&fix, 0, sizeof fix);
	fix.dir = command_dir();
	snprintf(fix.path, sizeof fix.path, "%s/verify", fix.dir);
	fix.loop = ev_loop_new_fake(1700000000);
	buf_init(&fix.got, 1 << 20);
	assert_int_equal(verify_stub_open(&fix.stub, fix.loop, fix.path, 64), 0);
	return 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	bulk_free(&fix.bulk);
	verify_stub_close(&fix.stub);
	ev_loop_free(&fix.loop);
	buf_fini(&fix.got);
	command_remove(&fix.dir);
	return 0;
}

static void
fix_bulk(unsigned jobs, size_t window, int64_t wait_ms)
{
	fix.bulk = bulk_new(fix.loop, fix.path, &(struct bulk_conf) { jobs, window, wait_ms, fix_answer, fix_room, &fix });
}

/* fix_serve - all that can happen now */
static void
fix_serve(void)
{
	for (int quiet = 0; quiet < 3; )
		quiet = ev_turn(fix.loop, 5) > 0 ? 0 : quiet + 1;
}

static void
test_order(void **state)
{
	static const char *const addrs[] = { "0@a", "3@slow", "2@b", "!@refused", "1@c", "0@a" };

	(void) state;
	fix_bulk(10, 10, 10000);
	for (size_t i = 0; i < NELEM(addrs); i++)
		bulk_add(fix.bulk, addrs[i]);
	bulk_add_malformed(fix.bulk, "what", "no @");
	bulk_add(fix.bulk, "0@d");
	fix_serve();
	assert_string_equal(buf_str(&fix.got), "0@a=0/0 ");	/* the others wait for the slow one */
	assert_int_equal(fix.stub.requests, 7);
	ev_fake_advance(fix.loop, 50);				/* which is asked again, after growing pauses */
	fix_serve();
	assert_int_equal(fix.stub.requests, 8);
	ev_fake_advance(fix.loop, 50);
	fix_serve();
	assert_int_equal(fix.stub.requests, 8);
	ev_fake_advance(fix.loop, 50);
	fix_serve();
	assert_int_equal(fix.stub.requests, 9);
	for (int s = 0; s < 12; s++) {
		ev_fake_advance(fix.loop, 1000);
		fix_serve();
	}
	assert_string_equal(buf_str(&fix.got),
	    "0@a=0/0 3@slow=0/3 2@b=0/2 !@refused=1/-1 1@c=0/1 0@a=0/0 what=3/-1 0@d=0/0 ");
	assert_in_range(fix.stub.requests, 15, 20);		/* 10 s at one question a second in the end */
	assert_true(bulk_is_empty(fix.bulk));
}

/* memory and connections keep their limits, however many addresses there are */
static void
test_window(void **state)
{
	(void) state;
	verify_stub_script(&fix.stub, VSTUB_HANG);
	fix_bulk(3, 8, 1000000);
	fix.add = 500;
	fix_serve();
	assert_int_equal(fix.added, 8);
	assert_int_equal(fix.stub.requests, 3);
	assert_int_equal(fix.stub.open, 3);
	verify_stub_script(&fix.stub, VSTUB_GOOD);
	verify_stub_hangup(&fix.stub);
	for (int s = 0; s < 5; s++) {
		ev_fake_advance(fix.loop, 1000);
		fix_serve();
	}
	assert_int_equal(fix.added, 500);
	assert_true(bulk_is_empty(fix.bulk));
	assert_in_range(fix.stub.open_max, 1, 3);
	/* in order, none lost, none twice */
	for (unsigned i = 0; i < 500; i++) {
		char	want[32], *rest = strchr(buf_str(&fix.got), ' ') + 1;

		snprintf(want, sizeof want, "0@%u=0/0 ", i);
		if (strncmp(buf_str(&fix.got), want, strlen(want)) != 0)
			fail_msg("want %s, got %.40s", want, buf_str(&fix.got));
		buf_drop(&fix.got, (size_t) (rest - buf_str(&fix.got)));
	}
	assert_int_equal(fix.got.len, 0);
}

static void
test_silence(void **state)
{
	(void) state;
	verify_stub_script(&fix.stub, VSTUB_HANG);
	fix_bulk(2, 4, 3000);
	bulk_add(fix.bulk, "0@a");
	bulk_add(fix.bulk, "0@b");
	bulk_add(fix.bulk, "0@c");
	fix_serve();
	ev_fake_advance(fix.loop, 2999);
	fix_serve();
	assert_string_equal(buf_str(&fix.got), "");
	ev_fake_advance(fix.loop, 1);
	verify_stub_script(&fix.stub, VSTUB_GOOD);
	fix_serve();
	assert_string_equal(buf_str(&fix.got), "0@a=2/-1 0@b=2/-1 0@c=0/0 ");	/* the third's time began with its turn */
}

/* a service that holds its reply to the last question: what it said to the one before is not lost */
static void
test_held(void **state)
{
	(void) state;
	fix_bulk(2, 4, 3000);
	bulk_add(fix.bulk, "3@slow");
	fix_serve();
	assert_int_equal(fix.stub.requests, 1);
	verify_stub_script(&fix.stub, VSTUB_HANG);
	for (int i = 0; i < 30; i++) {
		ev_fake_advance(fix.loop, 100);
		fix_serve();
	}
	assert_int_equal(fix.stub.requests, 2);
	assert_string_equal(buf_str(&fix.got), "3@slow=2/3 ");
}

/* a bulk full of lines that are no good does not stall */
static void
test_malformed(void **state)
{
	(void) state;
	fix_bulk(2, 4, 3000);
	for (int i = 0; i < 4; i++)
		bulk_add_malformed(fix.bulk, "x", "no @");
	fix_serve();
	assert_string_equal(buf_str(&fix.got), "x=3/-1 x=3/-1 x=3/-1 x=3/-1 ");
	assert_true(bulk_is_empty(fix.bulk));
	assert_int_equal(fix.stub.requests, 0);
}

/* the answers */

/* out_run - continue OUT with answers for these addresses, as a run of verify would; what OUT has then, or what is wrong */
static char *
out_run(const char *dir, bool json, const char *const *addrs, size_t n, unsigned *old_r)
{
	struct buf why = BUF_INIT(4096);
	struct bulk_output o;
	const char *word = "";
	char   *got = NULL, *path = mem_printf("%s/out", dir);
	int	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), old = 0;

	*old_r = 0;
	if (bulk_output_open(&o, fd, "out", json, &why) == 0) {
		for (size_t i = 0; i < n && old >= 0; i++) {
			if ((old = bulk_output_old(&o, addrs[i], &word, &why)) > 0) {
				(*old_r)++;
				assert_string_equal(word, "deliverable");
			} else if (old == 0)
				assert_int_equal(bulk_output_put(&o, addrs[i], "deliverable", 0, "250 \"fine\", or\nnot"), 0);
		}
		if (old >= 0 && !bulk_output_at_end(&o))
			buf_adds(&why, "more");
		assert_int_equal(bulk_output_write(&o), 0);
	}
	bulk_output_close(&o);
	got = why.len > 0 ? buf_take(&why) : command_read(path);
	close(fd);
	free(path);
	return got;
}

#define CSV_A	"address,status,code,reason\na@x,deliverable,0,\"250 \"\"fine\"\", or?not\"\n"
#define CSV_B	"\"\"\"b,c\"\"@x\",deliverable,0,\"250 \"\"fine\"\", or?not\"\n"
#define JSON_A	"{\"address\":\"a@x\",\"status\":\"deliverable\",\"code\":0,\"reason\":\"250 \\\"fine\\\", or?not\"}\n"
#define JSON_B	"{\"address\":\"\\\"b,c\\\"@x\",\"status\":\"deliverable\",\"code\":0,\"reason\":\"250 \\\"fine\\\", or?not\"}\n"

static void
test_output(void **state)
{
	static const char *const addrs[] = { "a@x", "\"b,c\"@x" };
	static const struct { const char *text; bool json; } whole[] = { { CSV_A CSV_B, false }, { JSON_A JSON_B, true } };
	char   *dir = command_dir(), *path = mem_printf("%s/out", dir), *got;
	unsigned old;

	(void) state;
	for (size_t i = 0; i < NELEM(whole); i++) {
		/* killed after any byte: the result is the same, and what stands there as a whole line is not asked for again */
		for (size_t n = 0; n <= strlen(whole[i].text); n++) {
			char   *begun = mem_strndup(whole[i].text, n);
			unsigned lines = 0;

			for (const char *p = begun; *p != 0; p++)
				lines += *p == '\n';
			command_write(path, begun);
			got = out_run(dir, whole[i].json, addrs, NELEM(addrs), &old);
			if (strcmp(got, whole[i].text) != 0)
				fail_msg("continued after %zu bytes: got %s", n, got);
			assert_int_equal(old, lines > 0 ? lines - !whole[i].json : 0);
			free(got);
			free(begun);
		}
	}
	command_remove(&dir);
	free(path);
}

static void
test_output_foreign(void **state)
{
	static const char *const addrs[] = { "a@x", "\"b,c\"@x" };
	static const struct { const char *name, *text; bool json; size_t addrs; const char *want; } cases[] = {
		{ "another text", "Dear Ann\n", false, 2, "out: not what 'vouch verify' writes" },
		{ "another text without line end", "Dear", true, 2, "out: not what 'vouch verify --json' writes" },
		{ "CSV for JSON", CSV_A, true, 2, "out: not what 'vouch verify --json' writes" },
		{ "JSON for CSV", JSON_A, false, 2, "out: not what 'vouch verify' writes" },
		{ "other address", CSV_A CSV_A, false, 2, "out, line 3: not the answer for \"b,c\"@x" },
		{ "address that goes on", "address,status,code,reason\na@xy,deliverable,0,x\n", false, 1, "out, line 2: not the" },
		{ "other list", CSV_A CSV_B, false, 1, "more" },
		{ "NUL bytes", "address,status,code,reason\n\n\n", false, 1, "out, line 2: not the answer for a@x" },
	};
	char   *dir = command_dir(), *path = mem_printf("%s/out", dir), *got, *now;
	unsigned old;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		command_write(path, cases[i].text);
		got = out_run(dir, cases[i].json, addrs, cases[i].addrs, &old);
		if (strstr(got, cases[i].want) == NULL)
			fail_msg("%s: got \"%s\", want \"%s\"", cases[i].name, got, cases[i].want);
		now = command_read(path);
		if (strcmp(now, cases[i].text) != 0)
			fail_msg("%s: the file was changed to: %s", cases[i].name, now);
		free(now);
		free(got);
	}
	command_remove(&dir);
	free(path);
}

/* two runs at a time would mix their lines */
static void
test_output_lock(void **state)
{
	char   *dir = command_dir();
	int	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct buf why = BUF_INIT(4096);
	struct bulk_output a, b;

	(void) state;
	assert_int_equal(bulk_output_open(&a, fd, "out", false, &why), 0);
	assert_int_equal(bulk_output_open(&b, fd, "out", false, &why), -1);
	assert_string_equal(buf_str(&why), "out: another vouch verify is writing it");
	bulk_output_close(&a);
	bulk_output_close(&b);
	buf_fini(&why);
	close(fd);
	command_remove(&dir);
}

static void
quiet(void *ctx, int level, const char *line)
{
	(void) ctx, (void) level, (void) line;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_input_limits),
		cmocka_unit_test(test_input_nul),
		cmocka_unit_test_setup_teardown(test_order, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_window, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_silence, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_held, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_malformed, fix_setup, fix_teardown),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_output_foreign),
		cmocka_unit_test(test_output_lock),
	};

	msg_catch(quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
