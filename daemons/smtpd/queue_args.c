/* daemons/smtpd/queue_args.c - the arguments of the queue plugins */
#include "queue_args.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include <util/mem.h>
#include <util/units.h>

#define QUEUE_TIMEOUT_MAX_MS	(50 * 60000)	/* an hour is the most that a hook may take */
#define QUEUE_COUNT_MAX		1000000

static bool
queue_args_bool(const char *v, void *r)
{
	if (strcmp(v, "0") != 0 && strcmp(v, "1") != 0)
		return false;
	*(bool *) r = *v == '1';
	return true;
}

static bool
queue_args_count(const char *v, void *r)
{
	int64_t n;

	if (!units_int_parse(v, &n) || n < 0 || n > QUEUE_COUNT_MAX)
		return false;
	*(unsigned *) r = (unsigned) n;
	return true;
}

static bool
queue_args_reuse(const char *v, void *r)
{
	return queue_args_count(v, r) && *(unsigned *) r > 0;
}

static bool
queue_args_time(const char *v, void *r)
{
	int64_t ms;

	if (!units_time_parse(v, 's', &ms) || ms < 1000 || ms > QUEUE_TIMEOUT_MAX_MS)
		return false;
	*(int64_t *) r = ms;
	return true;
}

static bool
queue_args_tls(const char *v, void *r)
{
	static const struct { const char *word; enum smtp_tls_level level; } levels[] = {
		{ "no", SMTP_TLS_NONE }, { "0", SMTP_TLS_NONE }, { "may", SMTP_TLS_MAY }, { "1", SMTP_TLS_MAY },
		{ "encrypt", SMTP_TLS_ENCRYPT },
	};

	for (size_t i = 0; i < NELEM(levels); i++)
		if (strcasecmp(v, levels[i].word) == 0) {
			*(enum smtp_tls_level *) r = levels[i].level;
			return true;
		}
	return false;
}

static const struct {
	const char *word;
	unsigned need;			/* only for plugins that take this one */
	size_t	 offset;
	bool  (*set)(const char *, void *);
	const char *use;
} queue_words[] = {
#define AT(member) offsetof(struct queue_args, member)
	{ "early", QUEUE_EARLY, AT(early), queue_args_bool, "0 or 1" },
	{ "maxrcpt", QUEUE_MAXRCPT, AT(maxrcpt), queue_args_count, "a number of recipients, 0 for no limit" },
	{ "reuse", QUEUE_REUSE, AT(reuse), queue_args_reuse, "a number of messages, 1 or more" },
	{ "sessions", QUEUE_REUSE, AT(sessions), queue_args_count, "a number of sessions, 0 for no limit" },
	{ "starttls", QUEUE_STARTTLS, AT(starttls), queue_args_tls, "no, may or encrypt" },
	{ "strict", QUEUE_STRICT, AT(strict), queue_args_bool, "0 or 1" },
	{ "timeout", 0, AT(timeout_ms), queue_args_time, "a time from 1s to 50m" },
	{ "xclient", QUEUE_XCLIENT, AT(xclient), queue_args_bool, "0 or 1" },
#undef AT
};

static bool
queue_args_is_port(const char *v)
{
	return *v != 0 && v[strspn(v, "0123456789")] == 0;
}

static int
queue_args_port(struct queue_args *a, const char *v, struct vh_err *err)
{
	int64_t n;

	if (a->to.is_unix)
		return vh_error(err, "port %s: a UNIX socket has none", v);
	if (!units_int_parse(v, &n) || n < 1 || n > 65535)
		return vh_error(err, "port %s: use a number from 1 to 65535", v);
	a->to.port = (unsigned) n;
	return 0;
}

static int
queue_args_host(struct queue_args *a, const char *v, struct vh_err *err)
{
	unsigned port = a->to.port;
	const char *why = "";

	if (!nexthop_parse(v, strlen(v), &a->to, &why))
		return vh_error(err, "host %s: %s", v, why);
	if (a->to.port == 0 && !a->to.is_unix)
		a->to.port = port;
	return 0;
}

int
queue_args_parse(struct queue_args *a, int argc, char **argv, unsigned words, struct vh_err *err)
{
	int	i = 1;
	size_t	k;

	if (i < argc && strcasecmp(argv[i], "host") == 0)
		i++;
	if (i >= argc)
		return vh_error(err, "needs the next hop: %s HOST [PORT], or unix:/path", argv[0]);
	if (queue_args_host(a, argv[i++], err) < 0)
		return -1;
	if (i < argc && (queue_args_is_port(argv[i]) || strcasecmp(argv[i], "port") == 0)) {
		if (!queue_args_is_port(argv[i]))
			i++;
		if (queue_args_port(a, i < argc ? argv[i] : "", err) < 0)
			return -1;
		i++;
	}
	for (; i < argc; i += 2) {
		for (k = 0; k < NELEM(queue_words); k++)
			if (strcasecmp(argv[i], queue_words[k].word) == 0 && (queue_words[k].need & ~words) == 0)
				break;
		if (k == NELEM(queue_words))
			return vh_error(err, "%s: no such argument", argv[i]);
		if (i + 1 >= argc || !queue_words[k].set(argv[i + 1], (char *) a + queue_words[k].offset))
			return vh_error(err, "%s %s: use %s", argv[i], i + 1 < argc ? argv[i + 1] : "", queue_words[k].use);
	}
	return 0;
}
