/* global/db_conf.c - how to reach the database: a value such as address_verify_map, as keywords for libpq */
#include "db_conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>

#include <global/main_cf.h>
#include <util/mem.h>
#include <util/msg.h>

struct db_string {
	SLIST_ENTRY(db_string) link;
	char	text[];
};
SLIST_HEAD(db_strings, db_string);

/* what was given, before it is one set of keywords for each host */
struct db_given {
	struct db_conf *conf;
	const char *keys[PG_KEYS_MAX], *values[PG_KEYS_MAX];
	unsigned n;
};

bool
db_conf_is(const char *value)
{
	return strncmp(value, DB_CONF_PREFIX, strlen(DB_CONF_PREFIX)) == 0;
}

static const char *
db_keep(struct db_conf *c, const char *s, size_t len)
{
	struct db_string *d = mem_alloc(sizeof *d + len + 1);

	memcpy(d->text, s, len);
	SLIST_INSERT_HEAD((struct db_strings *) c->strings, d, link);
	return d->text;
}

static const char *
db_given_get(const struct db_given *g, const char *key)
{
	for (unsigned i = 0; i < g->n; i++)
		if (strcmp(g->keys[i], key) == 0)
			return g->values[i];
	return NULL;
}

/* db_given_set - false when there are too many */
static bool
db_given_set(struct db_given *g, const char *key, const char *value)
{
	unsigned i = 0;

	while (i < g->n && strcmp(g->keys[i], key) != 0)
		i++;
	if (i == PG_KEYS_MAX)
		return false;
	g->keys[i] = db_keep(g->conf, key, strlen(key));
	g->values[i] = db_keep(g->conf, value, strlen(value));
	if (i == g->n)
		g->n++;
	return true;
}

/* db_given_string - take what a connection string or URI says */
static int
db_given_string(struct db_given *g, const struct pg_lib *lib, const char *text, struct buf *why)
{
	char   *reason = NULL;
	PQconninfoOption *options = lib->conninfoParse(text, &reason);

	lib->freemem(reason);		/* it may quote a password */
	if (options == NULL) {
		buf_adds(why, "not a valid connection string: look for a wrong keyword, a missing '=' or an open quote");
		return -1;
	}
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (o->val != NULL)
			(void) db_given_set(g, o->keyword, o->val);
	lib->conninfoFree(options);
	return 0;
}

/* the file */

/* pgsql_table(5) has these, too; they say how to ask for a table's entry, or how often, and mean nothing here */
static const char *const db_file_ignored[] = {
	"additional_conditions", "domain", "encoding", "expansion_limit", "idle_interval", "query", "require_result_set",
	"result_format", "retry_interval", "select_field", "select_function", "table", "where_field",
};

/* db_file_host - one word of hosts: host, host:port, inet:host:port, [address]:port, unix:/directory, or a URI
 * host and port are appended to comma-separated lists */
static int
db_file_host(struct db_given *g, const struct pg_lib *lib, char *word, struct buf *hosts, struct buf *ports,
    struct buf *why)
{
	char   *colon, *host = word;

	if (strncmp(word, "postgresql://", 13) == 0 || strncmp(word, "postgres://", 11) == 0)
		return db_given_string(g, lib, word, why);
	if (strncmp(host, "inet:", 5) == 0)
		host += 5;
	else if (strncmp(host, "unix:", 5) == 0)
		host += 5;
	colon = host[0] == '/' ? NULL : strrchr(host, ':');
	if (colon != NULL && host[0] != '[' && strchr(host, ':') != colon)
		colon = NULL;			/* a bare IPv6 address */
	if (host[0] == '[') {
		colon = strchr(host, ']');
		if (colon == NULL || (colon[1] != 0 && colon[1] != ':')) {
			buf_addf(why, "hosts: %s: not an address in brackets", word);
			return -1;
		}
		*colon = 0;
		colon = colon[1] == ':' ? colon + 1 : NULL;
		host++;
	}
	if (colon != NULL)
		*colon++ = 0;
	buf_addf(hosts, "%s%s", hosts->len > 0 ? "," : "", host);
	buf_addf(ports, "%s%s", hosts->len > strlen(host) ? "," : "", colon != NULL ? colon : "");
	return 0;
}

static int
db_file_hosts(struct db_given *g, const struct pg_lib *lib, const char *value, struct buf *why)
{
	struct buf hosts = BUF_INIT(4096), ports = BUF_INIT(4096);
	char   *copy = mem_strdup(value), *next = copy, *word;
	int	ret = 0;

	while (ret == 0 && (word = strsep(&next, ", \t\r\n")) != NULL)
		if (*word != 0)
			ret = db_file_host(g, lib, word, &hosts, &ports, why);
	if (ret == 0 && hosts.len > 0) {
		(void) db_given_set(g, "host", buf_str(&hosts));
		(void) db_given_set(g, "port", buf_str(&ports));
	}
	mem_free(&copy);
	buf_fini(&hosts);
	buf_fini(&ports);
	return ret;
}

static bool
db_file_is_ignored(const char *name)
{
	for (size_t i = 0; i < NELEM(db_file_ignored); i++)
		if (strcmp(name, db_file_ignored[i]) == 0)
			return true;
	return false;
}

/* db_file_known - whether libpq has such a keyword */
static bool
db_file_known(const struct pg_lib *lib, const char *name)
{
	PQconninfoOption *options = lib->conninfoParse("", NULL);
	bool	found = false;

	for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL && !found; o++)
		found = strcmp(o->keyword, name) == 0;
	lib->conninfoFree(options);
	return found;
}

/* db_file_plain - how much of what main_cf says about a line is not the line itself, which may be the password */
static size_t
db_file_plain(const char *text)
{
	size_t	n = strcspn(text, "\"");

	return n >= 2 && text[n] != 0 ? n - 2 : n;	/* without the ": " in front of it */
}

static void
db_file_warn(void *ctx, const char *text)
{
	static const char over[] = ": overriding earlier entry: ";
	size_t	n = db_file_plain(text);
	const char *entry = memmem(text, n, over, sizeof over - 1);

	(void) ctx;
	if (entry != NULL)
		n = (size_t) (entry - text) + strcspn(entry, "=");
	msg_warn("%.*s", (int) n, text);
}

static int
db_given_file(struct db_given *g, const struct pg_lib *lib, const char *path, struct buf *why)
{
	struct buf text = BUF_INIT(DB_CONF_FILE_MAX), bad = BUF_INIT(DB_CONF_FILE_MAX);
	struct main_cf *cf = NULL;
	const struct main_cf_entry *e;
	int	ret = -1;

	if (buf_read_file(&text, AT_FDCWD, path) < 0) {
		buf_addf(why, "%s: %s", path, strerror(errno));
		goto out;
	}
	if ((cf = main_cf_parse(path, buf_str(&text), text.len, db_file_warn, NULL, &bad)) == NULL) {
		buf_add(why, buf_str(&bad), db_file_plain(buf_str(&bad)));
		goto out;
	}
	if ((e = main_cf_get(cf, "conninfo")) != NULL && db_given_string(g, lib, e->value, why) < 0)
		goto where;
	for (e = main_cf_next(cf, NULL); e != NULL; e = main_cf_next(cf, e)) {
		if (e->line == 0 || strcmp(e->name, "conninfo") == 0 || db_file_is_ignored(e->name))
			continue;
		if (strcmp(e->name, "hosts") == 0) {
			if (db_file_hosts(g, lib, e->value, why) < 0)
				goto where;
		} else if (!db_file_known(lib, e->name)) {
			buf_addf(why, "%s, line %u: unknown parameter %s", path, e->line, e->name);
			goto out;
		} else if (!db_given_set(g, e->name, e->value))
			goto out;
	}
	ret = 0;
	goto out;
where:
	buf_addf(why, " (%s, line %u)", path, e->line);
out:
	main_cf_free(&cf);
	if (text.data != NULL)
		explicit_bzero(text.data, text.len);
	if (bad.data != NULL)
		explicit_bzero(bad.data, bad.len);
	buf_fini(&text);
	buf_fini(&bad);
	return ret;
}

/* one set of keywords for each host */

/* db_item - item i of a comma-separated list; NULL when it is not there or empty; a single item is for all, if `all` */
static const char *
db_item(struct db_conf *c, const char *list, unsigned i, bool all)
{
	const char *end;

	if (list == NULL)
		return NULL;
	if (all && strchr(list, ',') == NULL)
		i = 0;
	for (; i > 0; i--)
		if ((list = strchr(list, ',')) == NULL)
			return NULL;
		else
			list++;
	end = strchrnul(list, ',');
	return end > list ? db_keep(c, list, (size_t) (end - list)) : NULL;
}

static unsigned
db_items(const char *list)
{
	unsigned n = 0;

	for (const char *p = list; p != NULL; p = strchr(p, ','), p = p != NULL ? p + 1 : NULL)
		n++;
	return n;
}

static void
db_host_add(struct pg_host *h, unsigned *n, const char *key, const char *value)
{
	if (value == NULL || *n == PG_KEYS_MAX)
		return;
	h->keys[*n] = key;
	h->values[*n] = value;
	(*n)++;
}

static void
db_conf_host(struct db_conf *c, const struct db_given *g, unsigned i, const char *app)
{
	static const char *const special[] = { "host", "hostaddr", "port", "client_encoding", "fallback_application_name" };
	struct pg_host *h = &c->hosts[i];
	const char *host = db_item(c, db_given_get(g, "host"), i, false);
	const char *addr = db_item(c, db_given_get(g, "hostaddr"), i, false);
	const char *port = db_item(c, db_given_get(g, "port"), i, true);
	const char *db = db_given_get(g, "dbname"), *shown = host != NULL ? host : addr;
	char	where[256];
	unsigned n = 0;
	bool	is_special;

	for (unsigned k = 0; k < g->n; k++) {
		is_special = false;
		for (size_t s = 0; s < NELEM(special); s++)
			is_special = is_special || strcmp(g->keys[k], special[s]) == 0;
		if (!is_special)
			db_host_add(h, &n, g->keys[k], g->values[k]);
	}
	db_host_add(h, &n, "host", host);
	db_host_add(h, &n, "hostaddr", addr);
	db_host_add(h, &n, "port", port);
	db_host_add(h, &n, "client_encoding", "UTF8");
	db_host_add(h, &n, "fallback_application_name", db_keep(c, app, strlen(app)));
	if (db_given_get(g, "gssencmode") == NULL)
		db_host_add(h, &n, "gssencmode", "disable");	/* libpq's Kerberos calls may block */
	if (c->hosts_n > 1 && db_given_get(g, "target_session_attrs") == NULL)
		db_host_add(h, &n, "target_session_attrs", "read-write");
	snprintf(where, sizeof where, "database %s%s%s%s%s", db != NULL ? db : "(default)", shown != NULL ? " at " : "",
	    shown != NULL ? shown : "", shown != NULL && shown[0] != '/' && port != NULL ? ":" : "",
	    shown != NULL && shown[0] != '/' && port != NULL ? port : "");
	h->where = db_keep(c, where, strlen(where));
}

struct db_conf *
db_conf_read(const struct pg_lib *lib, const char *value, const char *app, struct buf *why)
{
	struct db_conf *c = mem_alloc(sizeof *c);
	struct db_given g = { .conf = c };
	const char *rest = value + strlen(DB_CONF_PREFIX);
	int	bad;

	c->strings = mem_alloc(sizeof(struct db_strings));
	if (!db_conf_is(value)) {
		buf_adds(why, "not of the form " DB_CONF_PREFIX "...");
		bad = -1;
	} else if (rest[0] == '/')
		bad = db_given_file(&g, lib, rest, why);
	else if (strchr(rest, '=') != NULL || strstr(rest, "://") != NULL)
		bad = db_given_string(&g, lib, rest, why);
	else {
		buf_adds(why, "after " DB_CONF_PREFIX " there must be the full path of a file, a URI (postgresql://...), or a "
		    "connection string (host=... dbname=...)");
		bad = -1;
	}
	if (bad == 0) {
		c->hosts_n = db_items(db_given_get(&g, "hostaddr"));
		if (c->hosts_n == 0)
			c->hosts_n = db_items(db_given_get(&g, "host"));
		if (c->hosts_n == 0)
			c->hosts_n = 1;
		if (c->hosts_n > DB_CONF_HOSTS) {
			buf_addf(why, "more than %d hosts", DB_CONF_HOSTS);
			bad = -1;
		}
	}
	if (bad != 0) {
		db_conf_free(&c);
		return NULL;
	}
	c->hosts = mem_array(c->hosts_n, sizeof *c->hosts);
	for (unsigned i = 0; i < c->hosts_n; i++)
		db_conf_host(c, &g, i, app);
	return c;
}

void
db_conf_free(struct db_conf **cp)
{
	struct db_conf *c = *cp;
	struct db_strings *strings;
	struct db_string *d;

	if (c == NULL)
		return;
	strings = c->strings;
	while ((d = SLIST_FIRST(strings)) != NULL) {
		SLIST_REMOVE_HEAD(strings, link);
		explicit_bzero(d->text, strlen(d->text));
		mem_free(&d);
	}
	mem_free(&c->strings);
	mem_free(&c->hosts);
	mem_free(cp);
}

/* hiding */

/* db_secret - length of a keyword with a secret value that begins at p, up to and with its '='; 0: none */
static size_t
db_secret(const char *value, const char *p)
{
	static const char *const words[] = { "password", "sslpassword", "passwd", "oauth_client_secret" };
	size_t	n;

	if (p > value && (isalnum((unsigned char) p[-1]) || p[-1] == '_'))
		return 0;
	for (size_t i = 0; i < NELEM(words); i++) {
		n = strlen(words[i]);
		if (strncasecmp(p, words[i], n) != 0)
			continue;
		n += strspn(p + n, " \t");
		if (p[n] == '=')
			return n + 1 + strspn(p + n + 1, " \t");
	}
	return 0;
}

/* db_userinfo_end - p is behind "://": the @ that ends user:password, NULL: there is no password
 * end_r     the end of the URI. A password may hold anything; when in doubt more is taken for it, not less */
static const char *
db_userinfo_end(const char *p, const char **end_r)
{
	size_t	len = strcspn(p, " \t\r\n");
	const char *at = memrchr(p, '@', len), *colon;

	if (at == NULL && memchr(p, '/', len) == NULL) {	/* perhaps a blank in the password */
		len = strcspn(p, "/");
		at = memrchr(p, '@', len);
	}
	*end_r = p + len;
	colon = memchr(p, ':', len);
	return at != NULL && colon != NULL && colon < at ? at : NULL;
}

/* db_value_end - the end of a secret value that begins at p */
static const char *
db_value_end(const char *p, bool in_uri)
{
	if (*p == '\'' && !in_uri) {
		for (p++; *p != 0 && *p != '\''; p++)
			if (*p == '\\' && p[1] != 0)
				p++;
		return *p != 0 ? p + 1 : p;
	}
	for (; *p != 0 && !isspace((unsigned char) *p) && !(in_uri && *p == '&'); p++)
		if (!in_uri && *p == '\\' && p[1] != 0)
			p++;
	return p;
}

void
db_conf_hide(struct buf *out, const char *value)
{
	const char *p = value, *at, *uri_end = value;
	size_t	n;

	while (*p != 0) {
		if (strncmp(p, "://", 3) == 0) {
			at = db_userinfo_end(p + 3, &uri_end);
			n = at != NULL ? 3 + strcspn(p + 3, ":") + 1 : 3;
			buf_add(out, p, n);
			if (at != NULL)
				buf_adds(out, "***");
			p = at != NULL ? at : p + n;
		} else if ((n = db_secret(value, p)) > 0) {
			buf_add(out, p, n);
			buf_adds(out, "***");
			p = db_value_end(p + n, p + n < uri_end);
		} else
			buf_addc(out, *p++);
	}
}
