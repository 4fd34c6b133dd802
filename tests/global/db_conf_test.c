/* tests/global/db_conf_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <global/db_conf.h>
#include <util/mem.h>
#include <util/msg.h>

static const struct pg_lib *lib;
static char path[] = "/tmp/db_conf_test.XXXXXX";

static const char *
db_test_key(const struct pg_host *h, const char *key)
{
	for (int i = 0; h->keys[i] != NULL; i++)
		if (strcmp(h->keys[i], key) == 0)
			return h->values[i];
	return "-";
}

/* db_test_shape - every host as "host addr port user dbname attrs | where;" */
static void
db_test_shape(const struct db_conf *c, char *s, size_t size)
{
	s[0] = 0;
	for (unsigned i = 0; i < c->hosts_n; i++)
		snprintf(s + strlen(s), size - strlen(s), "%s %s %s %s %s %s | %s;", db_test_key(&c->hosts[i], "host"),
		    db_test_key(&c->hosts[i], "hostaddr"), db_test_key(&c->hosts[i], "port"),
		    db_test_key(&c->hosts[i], "user"), db_test_key(&c->hosts[i], "dbname"),
		    db_test_key(&c->hosts[i], "target_session_attrs"), c->hosts[i].where);
}

static void
values_become_keywords(void **state)
{
	static const struct { const char *name, *value, *want; } cases[] = {
		{ "connection string", "pgsql:host=db dbname=vouch user=v password=s3cret",
		  "db - - v vouch - | database vouch at db;" },
		{ "several hosts, one port", "pgsql:host=a,b port=5433 dbname=d",
		  "a - 5433 - d read-write | database d at a:5433;b - 5433 - d read-write | database d at b:5433;" },
		{ "several hosts and ports", "pgsql:host=a,b port=1,2 dbname=d target_session_attrs=any",
		  "a - 1 - d any | database d at a:1;b - 2 - d any | database d at b:2;" },
		{ "addresses besides names", "pgsql:host=a,b hostaddr=192.0.2.1,192.0.2.2 dbname=d",
		  "a 192.0.2.1 - - d read-write | database d at a;b 192.0.2.2 - - d read-write | database d at b;" },
		{ "socket directory", "pgsql:host=/run/postgresql port=5433", "/run/postgresql - 5433 - - - | "
		  "database (default) at /run/postgresql;" },
		{ "URI", "pgsql:postgresql://v:s3cret@h1:1,h2:2/vouch?sslmode=require",
		  "h1 - 1 v vouch read-write | database vouch at h1:1;h2 - 2 v vouch read-write | database vouch at h2:2;" },
		{ "nothing given", "pgsql:connect_timeout=3", "- - - - - - | database (default);" },
	};
	struct buf why = BUF_INIT(1024);
	struct db_conf *c;
	char	got[1024];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		if ((c = db_conf_read(lib, cases[i].value, "vouch", &why)) == NULL)
			fail_msg("%s: %s", cases[i].name, buf_str(&why));
		db_test_shape(c, got, sizeof got);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s:\n got %s\nwant %s", cases[i].name, got, cases[i].want);
		assert_string_equal(db_test_key(&c->hosts[0], "client_encoding"), "UTF8");
		assert_string_equal(db_test_key(&c->hosts[0], "fallback_application_name"), "vouch");
		db_conf_free(&c);
	}
	buf_fini(&why);
}

static unsigned warned;

static void
db_test_warning(void *ctx, int level, const char *line)
{
	const char *at = strstr(line, path);

	(void) ctx;
	(void) level;
	warned++;
	/* its name is made of random letters, and proves nothing */
	if (at == NULL || memmem(line, (size_t) (at - line), "s3", 2) != NULL || strstr(at + strlen(path), "s3") != NULL)
		fail_msg("a warning that tells the password, or not where: %s", line);
}

static void
files_are_read_as_pgsql_table_has_them(void **state)
{
	static const struct { const char *name, *text, *want, *why; } cases[] = {
		{ "plain", "hosts = db.example:5433\nuser = v\npassword = s3 $cret\ndbname = vouch\n",
		  "db.example - 5433 v vouch - | database vouch at db.example:5433;", NULL },
		{ "hosts in all forms", "# comment\nhosts = a inet:b:2, unix:/run/pg\n\t[2001:db8::1]:3 2001:db8::2\ndbname = d\n"
		  "query = SELECT 1\nresult_format = %s\n",
		  "a - - - d read-write | database d at a;b - 2 - d read-write | database d at b:2;"
		  "/run/pg - - - d read-write | database d at /run/pg;"
		  "2001:db8::1 - 3 - d read-write | database d at 2001:db8::1:3;"
		  "2001:db8::2 - - - d read-write | database d at 2001:db8::2;", NULL },
		{ "conninfo", "conninfo = host=c dbname=x password='a b'\nuser = u\n", "c - - u x - | database x at c;", NULL },
		{ "libpq's own", "hosts = a\ndbname = d\nsslmode = verify-full\nsslrootcert = /x\n",
		  "a - - - d - | database d at a;", NULL },
		{ "URI as host", "hosts = postgresql://u@h:9/dd\n", "h - 9 u dd - | database dd at h:9;", NULL },
		{ "unknown", "hosts = a\nhots = b\n", NULL, "line 2: unknown parameter hots" },
		{ "bad conninfo", "conninfo = host=c password=s3cret'\n  oops s3cret\n", NULL, "not a valid connection string" },
		{ "no syntax", "hosts\n", NULL, "missing '='" },
		{ "no syntax in a secret", "hosts = a\npassword s3cret\n", NULL, "line 2: missing '=' after attribute name" },
		{ "once more", "hosts = a\ndbname = d\npassword = s3cret\nhosts = b\npassword = s3 $cret\n", "b - - - d - | database d at b;", NULL },
		{ "an orphan", "  overriding earlier entry: s3cret = s3cret\nhosts = a\n", "a - - - - - | database (default) at a;", NULL },
		{ "open bracket", "hosts = [::1\n", NULL, "not an address in brackets" },
	};
	struct buf why = BUF_INIT(1024);
	struct db_conf *c;
	char	got[1024], value[64];
	FILE   *f;

	(void) state;
	snprintf(value, sizeof value, "pgsql:%s", path);
	msg_catch(db_test_warning, NULL);
	for (size_t i = 0; i < NELEM(cases); i++) {
		assert_non_null(f = fopen(path, "w"));
		fputs(cases[i].text, f);
		fclose(f);
		buf_reset(&why);
		c = db_conf_read(lib, value, "vouch", &why);
		if (c != NULL)
			db_test_shape(c, got, sizeof got);
		else if (cases[i].want != NULL)
			fail_msg("%s: %s", cases[i].name, buf_str(&why));
		if (cases[i].want != NULL && strcmp(got, cases[i].want) != 0)
			fail_msg("%s:\n got %s\nwant %s", cases[i].name, got, cases[i].want);
		if (cases[i].why != NULL && (c != NULL || strstr(buf_str(&why), cases[i].why) == NULL))
			fail_msg("%s: got %s, want %s", cases[i].name, buf_str(&why), cases[i].why);
		if (strstr(buf_str(&why), "s3cret") != NULL)
			fail_msg("%s: the reason tells the password", cases[i].name);
		db_conf_free(&c);
	}
	assert_int_equal(warned, 3);
	msg_catch(NULL, NULL);
	buf_fini(&why);
}

static void
what_cannot_be_used_says_why(void **state)
{
	static const struct { const char *value, *why; } cases[] = {
		{ "btree:/var/lib/postfix/verify", "pgsql:" },
		{ "pgsql:", "full path of a file" },
		{ "pgsql:relative.cf", "full path of a file" },
		{ "pgsql:/nonexistent/pgsql.cf", "/nonexistent/pgsql.cf: No such file" },
		{ "pgsql:host=a pasword=s3cret", "not a valid connection string" },
		{ "pgsql:postgresql://u:s3cret@h:x:y/db", NULL },
		{ "pgsql:host=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 hosts" },
	};
	struct buf why = BUF_INIT(1024);
	struct db_conf *c;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&why);
		c = db_conf_read(lib, cases[i].value, "vouch", &why);
		if (cases[i].why != NULL && (c != NULL || strstr(buf_str(&why), cases[i].why) == NULL))
			fail_msg("%s: got %s, want %s", cases[i].value, buf_str(&why), cases[i].why);
		if (strstr(buf_str(&why), "s3cret") != NULL)
			fail_msg("%s: the reason tells the password", cases[i].value);
		db_conf_free(&c);
	}
	buf_fini(&why);
}

static void
secrets_are_hidden(void **state)
{
	static const struct { const char *value, *want; } cases[] = {
		{ "", "" },
		{ "pgsql:/etc/vouch/pgsql.cf", "pgsql:/etc/vouch/pgsql.cf" },
		{ "pgsql:host=a password=s3cret user=u", "pgsql:host=a password=*** user=u" },
		{ "pgsql:password = 's3\\'cr et' user=u", "pgsql:password = *** user=u" },
		{ "pgsql:PASSWORD=s3\\ cret sslpassword=x sslmode=require", "pgsql:PASSWORD=*** sslpassword=*** sslmode=require" },
		{ "pgsql:passfile=/x user=u", "pgsql:passfile=/x user=u" },
		{ "pgsql:postgresql://u:s3cret@h/db", "pgsql:postgresql://u:***@h/db" },
		{ "pgsql:postgresql://u:s3@cret@h:1/db", "pgsql:postgresql://u:***@h:1/db" },
		{ "pgsql:postgresql://h:1/db?user=u&password=s3cret&sslmode=require",
		  "pgsql:postgresql://h:1/db?user=u&password=***&sslmode=require" },
		{ "pgsql:postgresql://u@h:1/db", "pgsql:postgresql://u@h:1/db" },
		{ "pgsql:password='s3cret", "pgsql:password=***" },
		{ "pgsql:password=s3cret\\", "pgsql:password=***" },
		{ "pgsql:postgresql://u:s3?cret@h/db", "pgsql:postgresql://u:***@h/db" },
		{ "pgsql:postgresql://u:s3 cret@h/db", "pgsql:postgresql://u:***@h/db" },
		{ "verify -o a=pgsql:postgresql://u:s3cret@h/d?connect_timeout=1 -o b=pgsql:postgresql://v:s4cret@i/e -o c=d:e@f",
		  "verify -o a=pgsql:postgresql://u:***@h/d?connect_timeout=1 -o b=pgsql:postgresql://v:***@i/e -o c=d:e@f" },
		{ "-o { m = pgsql:host=a password='s3cret }' } -o x=y", "-o { m = pgsql:host=a password=*** } -o x=y" },
		{ "pgsql:postgresql://h/d?password='s3cret&user=u", "pgsql:postgresql://h/d?password=***&user=u" },
	};
	struct buf b = BUF_INIT(1024);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&b);
		db_conf_hide(&b, cases[i].value);
		if (strcmp(buf_str(&b), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].value, buf_str(&b), cases[i].want);
	}
	buf_fini(&b);
}

static int
db_test_setup(void **state)
{
	const char *why;

	(void) state;
	close(mkstemp(path));
	return (lib = pg_lib_load(&why)) == NULL;
}

static int
db_test_teardown(void **state)
{
	(void) state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_become_keywords),
		cmocka_unit_test(files_are_read_as_pgsql_table_has_them),
		cmocka_unit_test(what_cannot_be_used_says_why),
		cmocka_unit_test(secrets_are_hidden),
	};

	return cmocka_run_group_tests(tests, db_test_setup, db_test_teardown);
}
