/* global/params.c - from text to typed values */
#include "params.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <util/macro.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>
#include <global/addr_list.h>
#include <global/greylist_check.h>
#include <global/addr_list.h>
#include <global/maillog.h>
#include <global/probe_sender.h>

#define PARAMS_SHOWN		80	/* bytes of a bad value shown in a message */
#define PARAMS_PREFORK_MAX	1000	/* processes of one service that are started at once */
#define PARAMS_ORIGIN_MAX	255	/* bytes of a domain name: RFC 1035 section 2.3.4 */

/* one look-up of $name in a configuration */
struct params_scope {
	const struct main_cf *cf;	/* or NULL: defaults only */
	struct buf value;		/* what the last look-up answered, when it had to be made */
	bool	   in_hostname;		/* myhostname and mydomain are made from each other: once is enough */
};

static const char *params_lookup(void *, const char *);

/* params_words - whether value is a list of these words only (separated by blanks), at most max of them */
static bool
params_words(const char *value, const char *words, size_t max)
{
	char	padded[128], word[64];
	size_t	n = 0, len;

	snprintf(padded, sizeof padded, " %s ", words);
	for (value += strspn(value, " \t,"); *value != 0; value += strspn(value, " \t,")) {
		len = strcspn(value, " \t,");
		if (n++ == max || len > sizeof word - 3)
			return false;
		snprintf(word, sizeof word, " %.*s ", (int) len, value);
		if (strstr(padded, word) == NULL)
			return false;
		value += len;
	}
	return n > 0;
}

/* params_twice - whether a word is in the list twice */
static bool
params_twice(const char *value)
{
	size_t	len, n;

	for (value += strspn(value, " \t,"); *value != 0; value += len + strspn(value + len, " \t,")) {
		len = strcspn(value, " \t,");
		for (const char *p = value + len + strspn(value + len, " \t,"); *p != 0; p += n + strspn(p + n, " \t,"))
			if ((n = strcspn(p, " \t,")) == len && memcmp(p, value, len) == 0)
				return true;
	}
	return false;
}

static const char *
params_check_address(const char *value)
{
	struct in6_addr any;

	return *value == 0 || inet_pton(AF_INET, value, &any) == 1 || inet_pton(AF_INET6, value, &any) == 1 ? NULL :
	    "use one numeric address, or nothing";
}

static const char *
params_check_addresses(const char *value)
{
	struct in6_addr any;
	char	one[INET6_ADDRSTRLEN];

	for (size_t n; *(value += strspn(value, " \t,")) != 0; value += n) {
		if ((n = strcspn(value, " \t,")) >= sizeof one)
			return "use numeric addresses";
		memcpy(one, value, n);
		one[n] = 0;
		if (inet_pton(AF_INET, one, &any) != 1 && inet_pton(AF_INET6, one, &any) != 1)
			return "use numeric addresses";
	}
	return NULL;
}

static const char *
params_check_catchall(const char *value)
{
	return params_words(value, "ok defer", 1) ? NULL : "use ok or defer";
}

static const char *
params_check_codes(const char *value)
{
	return params_words(value, "rfc qpsmtpd", 1) ? NULL : "use rfc or qpsmtpd";
}

static const char *
params_check_commit(const char *value)
{
	return params_words(value, "wait async", 1) ? NULL : "use wait or async";
}

static const char *
params_check_compat(const char *value)
{
	return *value == 0 || params_words(value, "postfix", 1) ? NULL : "use postfix, or nothing";
}

static const char *
params_check_detail(const char *value)
{
	return params_words(value, "full code fixed", 1) ? NULL : "use full, code or fixed";
}

static const char *
params_check_dir(const char *value)
{
	return *value == '/' ? NULL : "use an absolute path";
}

static const char *
params_check_facility(const char *value)
{
	int	facility;

	return maillog_facility(value, &facility) ? NULL : "use a facility of syslog(3): mail, daemon, local0 ...";
}

static const char *
params_check_full(const char *value)
{
	return params_words(value, "ok defer bounce", 1) ? NULL : "use ok, defer or bounce";
}

static const char *
params_check_level(const char *value)
{
	size_t	n;

	for (int part = 0; part < 3; part++) {
		if ((n = strspn(value, "0123456789")) == 0)
			break;
		value += n;
		if (*value == 0)
			return NULL;
		if (*value++ != '.')
			break;
	}
	return "use up to three numbers with dots, as in 3.6";
}

static const char *
params_check_logfile(const char *value)
{
	return *value == '/' || *value == 0 ? NULL : "use an absolute path, or nothing for syslog";
}

static const char *
params_check_mode(const char *value)
{
	return params_words(value, "0600 0640 0644", 1) ? NULL : "use 0600, 0640 or 0644";
}

static const char *
params_check_on_stop(const char *value)
{
	return params_words(value, "refuse tempfail", 1) ? NULL : "use refuse or tempfail";
}

static const char *
params_check_newline(const char *value)
{
	return params_words(value, "reject normalize", 1) ? NULL : "use reject or normalize";
}

static const char *
params_check_origin(const char *value)
{
	for (const char *p = value; *p != 0; p++)
		if (*p <= ' ' || *p == 127 || strchr("@$<>(),;:\\\"", *p) != NULL)
			return "use a domain name";
	return NULL;
}

static const char *
params_check_policy(const char *value)
{
	return params_words(value, "defer bounce", 1) ? NULL : "use defer or bounce";
}

static const char *
params_check_policy_checks(const char *value)
{
	return params_words(value, "greylist verify_recipient verify_sender", 3) && !params_twice(value) ? NULL :
	    "use greylist, verify_recipient and verify_sender, each at most once";
}

static const char *
params_check_policy_fallback(const char *value)
{
	return params_words(value, "defer_if_permit DUNNO", 1) ? NULL : "use defer_if_permit or DUNNO";
}

static const char *
params_check_policy_mode(const char *value)
{
	return params_words(value, "enforce observe", 1) ? NULL : "use enforce or observe";
}

static const char *
params_check_prefer(const char *value)
{
	return params_words(value, "any ipv4 ipv6", 1) ? NULL : "use any, ipv4 or ipv6";
}

static const char *
params_check_prefork(const char *value)
{
	int64_t n;

	return *value == 0 || (units_int_parse(value, &n) && n >= 0 && n <= PARAMS_PREFORK_MAX) ? NULL :
	    "use a number from 0 to 1000, or nothing for the number of CPUs";
}

static const char *
params_check_protocols(const char *value)
{
	return params_words(value, "all ipv4 ipv6", 3) ? NULL : "use all, ipv4, ipv6, or both names";
}

static const char *
params_check_random(const char *value)
{
	return params_words(value, "no auto always", 1) ? NULL : "use no, auto or always";
}

static const char *
params_check_schedule(const char *value)
{
	char	one[24];
	int64_t ms;
	unsigned steps = 0;

	for (size_t n; *(value += strspn(value, " \t,")) != 0; value += n) {
		if ((n = strcspn(value, " \t,")) >= sizeof one)
			return "use times";
		memcpy(one, value, n);
		one[n] = 0;
		if (!units_time_parse(one, 's', &ms) || ms < 1000 || ++steps > 8)
			return "use up to eight times of 1s or more";
	}
	return NULL;
}

static const char *
params_check_sender(const char *value)
{
	return probe_sender_check(value);
}

static const char *
params_check_suspended(const char *value)
{
	return params_words(value, "ok tempfail", 1) ? NULL : "use ok or tempfail";
}

static const char *
params_check_server_tls(const char *value)
{
	return *value == 0 || params_words(value, "none may encrypt", 1) ? NULL : "use none, may or encrypt";
}

static const char *
params_check_target(const char *value)
{
	return params_words(value, "rcpt data", 1) ? NULL : "use rcpt or data";
}

static const char *
params_check_tempfail(const char *value)
{
	return params_words(value, "defer_if_permit defer", 1) ? NULL : "use defer_if_permit or defer";
}

static const char *
params_check_text(const char *value)
{
	return params_words(value, "full compact", 1) ? NULL : "use full or compact";
}

static const char *
params_check_tls(const char *value)
{
	return *value == 0 || params_words(value, "none may encrypt demand", 1) ? NULL :
	    "use none, may, encrypt or demand (certificates are not checked: verify, secure and dane are not supported)";
}

static const char *
params_check_unknown(const char *value)
{
	return params_words(value, "ok defer", 1) ? NULL : "use ok or defer";
}

const struct params_row params_table[] = {
#define P(kind, name, def, min, max, when, check, what) \
	{ #name, PARAM_##kind, offsetof(struct params, name), def, min, max, PARAM_##when, check, what },
#include <global/params.def>
#undef P
};
const size_t params_count = NELEM(params_table);

const struct params_row *
params_find(const char *name)
{
	size_t	low = 0, high = params_count, mid;
	int	cmp;

	while (low < high) {
		mid = low + (high - low) / 2;
		if ((cmp = strcmp(name, params_table[mid].name)) == 0)
			return &params_table[mid];
		if (cmp < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static bool
params_is(const struct params_row *row, const char *name)
{
	return strcmp(row->name, name) == 0;
}

/* params_entry - the text that main.cf gives this name, or NULL */
static const char *
params_entry(const struct main_cf *cf, const char *name)
{
	const struct main_cf_entry *e = cf != NULL ? main_cf_get(cf, name) : NULL;

	return e != NULL ? e->value : NULL;
}

/* params_part - append the expanded main.cf value of one of myhostname, mydomain, for the default of the other
 * returns   false when it is not set there, or of no use */
static bool
params_part(struct params_scope *scope, const char *name, struct buf *out)
{
	struct buf why = BUF_INIT(1000);
	struct params_scope inner = { .cf = scope->cf, .value = BUF_INIT(PARAMS_VALUE_MAX), .in_hostname = true };
	const char *text = scope->in_hostname ? NULL : params_entry(scope->cf, name);
	bool	ok = text != NULL && macro_expand(out, text, params_lookup, &inner, &why) == 0 && out->len > 0;

	buf_fini(&inner.value);
	buf_fini(&why);
	return ok;
}

/* params_hostname - append the default of myhostname */
static void
params_hostname(struct params_scope *scope, struct buf *out)
{
	struct buf domain = BUF_INIT(PARAMS_VALUE_MAX);
	char	host[256] = "";

	if (gethostname(host, sizeof host - 1) < 0 || *host == 0)
		snprintf(host, sizeof host, "localhost");
	buf_adds(out, host);
	if (strchr(host, '.') == NULL)
		buf_addf(out, ".%s", params_part(scope, "mydomain", &domain) ? buf_str(&domain) : "localdomain");
	buf_fini(&domain);
}

/* params_domain - append the default of mydomain */
static void
params_domain(struct params_scope *scope, struct buf *out)
{
	struct buf host = BUF_INIT(PARAMS_VALUE_MAX);
	bool	before = scope->in_hostname;
	const char *dot;

	if (!params_part(scope, "myhostname", &host)) {
		buf_reset(&host);
		scope->in_hostname = true;
		params_hostname(scope, &host);
		scope->in_hostname = before;
	}
	dot = strchr(buf_str(&host), '.');
	buf_adds(out, dot != NULL && dot[1] != 0 ? dot + 1 : "localdomain");
	buf_fini(&host);
}

static void
params_default_scope(struct params_scope *scope, const struct params_row *row, struct buf *out)
{
	if (params_is(row, "myhostname"))
		params_hostname(scope, out);
	else if (params_is(row, "mydomain"))
		params_domain(scope, out);
	else
		buf_adds(out, row->def);
}

void
params_default(const struct params_row *row, const struct main_cf *cf, struct buf *out)
{
	struct params_scope scope = { .cf = cf, .value = BUF_INIT(PARAMS_VALUE_MAX) };

	params_default_scope(&scope, row, out);
	buf_fini(&scope.value);
}

/* params_origin - append the first line of a file, as Debian's myorigin = /etc/mailname means it; -1 with why */
static int
params_origin(const char *path, struct buf *out, struct buf *why)
{
	char	line[PARAMS_ORIGIN_MAX + 2], *p;
	ssize_t n = -1;
	int	fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) >= 0) {
		n = read(fd, line, sizeof line - 1);
		close(fd);
	}
	if (n < 0) {
		buf_addf(why, "cannot read the file it names, %.*s: %s", PARAMS_SHOWN, path, strerror(errno));
		return -1;
	}
	line[n] = 0;
	line[strcspn(line, "\r\n")] = 0;
	p = line + strspn(line, " \t");
	p[strcspn(p, " \t")] = 0;
	if (*p == 0 || params_check_origin(p) != NULL || (size_t) n == sizeof line - 1) {
		buf_addf(why, "the first line of %.*s is not a domain name", PARAMS_SHOWN, path);
		return -1;
	}
	return buf_adds(out, p);
}

/* params_lookup - macro_lookup_fn: main.cf and -o, then the table's default */
static const char *
params_lookup(void *ctx, const char *name)
{
	struct params_scope *scope = ctx;
	struct buf made = BUF_INIT(PARAMS_VALUE_MAX), why = BUF_INIT(1000);
	const char *text = params_entry(scope->cf, name);
	const struct params_row *row = params_find(name);

	if (text != NULL && !(*text == '/' && row != NULL && params_is(row, "myorigin")))
		return text;
	if (row == NULL)
		return NULL;
	if (text == NULL)
		params_default_scope(scope, row, &made);
	else if (params_origin(text, &made, &why) < 0)
		buf_adds(&made, text);			/* myorigin itself will be complained of */
	buf_fini(&scope->value);
	scope->value = made;
	buf_fini(&why);
	return buf_str(&scope->value);
}

int
params_expand(const struct main_cf *cf, const char *text, struct buf *out, struct buf *why)
{
	struct params_scope scope = { .cf = cf, .value = BUF_INIT(PARAMS_VALUE_MAX) };
	int	ret = macro_expand(out, text, params_lookup, &scope, why);

	buf_fini(&scope.value);
	return ret;
}

/* params_text - append a parameter's text before expansion; false when there is none at all */
static bool
params_text(const struct main_cf *cf, const char *name, struct buf *out)
{
	const char *text = params_entry(cf, name);
	const struct params_row *row = params_find(name);

	if (text != NULL)
		buf_adds(out, text);
	else if (row != NULL)
		params_default(row, cf, out);
	return text != NULL || row != NULL;
}

int
params_eval(const struct main_cf *cf, const char *name, struct buf *out, struct buf *why)
{
	struct buf text = BUF_INIT(PARAMS_VALUE_MAX);
	size_t	start = out->len;
	char   *path;
	int	ret = 0;

	if (params_text(cf, name, &text) && (ret = params_expand(cf, buf_str(&text), out, why)) < 0)
		buf_adds(why, "; write $$ for a dollar sign, and close what is opened");
	if (ret == 0 && strcmp(name, "myorigin") == 0 && out->len > start && out->data[start] == '/') {
		path = mem_strdup(out->data + start);
		buf_cut(out, start);
		ret = params_origin(path, out, why);
		mem_free(&path);
	}
	buf_fini(&text);
	return ret;
}

/* params_unit - the unit of a bare number: that of the default, or of the default of the parameter that is the default */
static char
params_unit(const struct params_row *row)
{
	for (unsigned hop = 0; row->def[0] == '$' && hop < 4; hop++) {
		const struct params_row *next = params_find(row->def + 1);

		if (next == NULL)
			break;
		row = next;
	}
	return units_time_unit(row->def);
}

/* a value of any kind; which member counts is the row's kind */
struct params_value {
	int64_t	 number;		/* INT, TIME in milliseconds */
	uint64_t size;
	bool	 yes;
};

/* params_parse - text to value by kind; false when malformed */
static bool
params_parse(const struct params_row *row, const char *text, struct params_value *v_r)
{
	switch (row->kind) {
	case PARAM_STR:
		v_r->number = (int64_t) strlen(text);	/* bounds are lengths */
		return true;
	case PARAM_INT:
		return units_int_parse(text, &v_r->number);
	case PARAM_TIME:
		return units_time_parse(text, params_unit(row), &v_r->number);
	case PARAM_SIZE:
		return units_size_parse(text, &v_r->size);
	case PARAM_BOOL:
		v_r->yes = strcasecmp(text, "yes") == 0;
		return v_r->yes || strcasecmp(text, "no") == 0;
	}
	msg_panic("params_parse: kind out of range");
}

/* params_bound - a bound of the table, in the same unit as the value */
static struct params_value
params_bound(const struct params_row *row, const char *text)
{
	struct params_value v = { 0 };
	bool	ok = false;

	switch (row->kind) {
	case PARAM_STR:
	case PARAM_INT:
		ok = units_int_parse(text, &v.number);
		break;
	case PARAM_TIME:
		ok = units_time_parse(text, 's', &v.number);
		break;
	case PARAM_SIZE:
		ok = units_size_parse(text, &v.size);
		break;
	case PARAM_BOOL:
		break;
	}
	if (!ok)
		msg_panic("params_bound: %s has the bound %s", row->name, text);
	return v;
}

/* params_cmp - which of two values of a row is larger */
static int
params_cmp(const struct params_row *row, struct params_value a, struct params_value b)
{
	if (row->kind == PARAM_SIZE)
		return (a.size > b.size) - (a.size < b.size);
	return (a.number > b.number) - (a.number < b.number);
}

/* what to say of a value that its kind does not take */
static const struct {
	const char *problem, *advice;
} params_syntax[] = {
	[PARAM_INT] = { "bad numerical value", "use decimal digits only" },
	[PARAM_BOOL] = { "bad boolean value", "use yes or no" },
	[PARAM_TIME] = { "bad time value or unit", "use digits and one of ms s m h d w, less than 24855d" },
	[PARAM_SIZE] = { "bad size", "use digits, and k, M or G" },
};

/* params_judge - parse and check an expanded value; false with a reason added to why */
static bool
params_judge(const struct params_row *row, const char *text, struct params_value *v_r, struct buf *why)
{
	char	shown[PARAMS_SHOWN + 1];
	const char *advice, *least = row->min, *most = row->max;
	bool	is_str = row->kind == PARAM_STR;

	msg_clean(shown, sizeof shown, text);
	if (row->kind == PARAM_INT && most == NULL)
		most = "2147483647";		/* what Postfix's int takes */
	if (!params_parse(row, text, v_r)) {
		buf_addf(why, "%s: \"%s\"; %s", params_syntax[row->kind].problem, shown,
		    params_syntax[row->kind].advice);
		return false;
	}
	if (is_str && *text == 0 && least != NULL)
		buf_addf(why, "must not be empty; write a value, or remove the line for the default");
	else if (least != NULL && params_cmp(row, *v_r, params_bound(row, least)) < 0)
		buf_addf(why, "\"%s\" is too %s; use %s%s or more", shown, is_str ? "short" : "small", least,
		    is_str ? " characters" : "");
	else if (most != NULL && params_cmp(row, *v_r, params_bound(row, most)) > 0)
		buf_addf(why, "\"%s\" is too %s; use %s%s or less", shown, is_str ? "long" : "large", most,
		    is_str ? " characters" : "");
	else if (row->check != NULL && (advice = row->check(text)) != NULL)
		buf_addf(why, "bad value: \"%s\"; %s", shown, advice);
	else
		return true;
	return false;
}

/* params_where - begin a message: where this value was written */
static void
params_where(const struct main_cf *cf, const char *name, struct buf *why)
{
	const struct main_cf_entry *e = main_cf_get(cf, name);

	if (e == NULL)
		buf_adds(why, "default: ");
	else if (e->line == 0)
		buf_adds(why, "-o: ");
	else
		buf_addf(why, "%s, line %u: ", main_cf_path(cf), e->line);
}

/* params_value - evaluate one row; -1 with "parameter NAME: reason" added to why
 * text      gets the expanded value */
static int
params_value(const struct main_cf *cf, const struct params_row *row, struct buf *text, struct params_value *v_r,
    struct buf *why)
{
	struct buf reason = BUF_INIT(1000);
	const char *written = params_entry(cf, row->name);
	char	shown[PARAMS_SHOWN + 1];
	bool	ok;

	buf_reset(text);
	ok = params_eval(cf, row->name, text, &reason) == 0;
	ok = ok && params_judge(row, buf_str(text), v_r, &reason);
	if (!ok) {
		buf_addf(why, "parameter %s: %s", row->name, buf_str(&reason));
		if (written != NULL && strchr(written, '$') != NULL)
			buf_addf(why, " (written as \"%s\")", msg_clean(shown, sizeof shown, written));
	}
	buf_fini(&reason);
	return ok ? 0 : -1;
}

int
params_test(const struct main_cf *cf, const struct params_row *row, struct buf *why)
{
	struct buf text = BUF_INIT(PARAMS_VALUE_MAX);
	struct params_value v;
	int	ret = params_value(cf, row, &text, &v, why);

	buf_fini(&text);
	return ret;
}

static void
params_store(struct params *p, const struct params_row *row, const char *text, struct params_value v)
{
	char   *at = (char *) p + row->offset;

	switch (row->kind) {
	case PARAM_STR:
		*(const char **) at = mem_strdup(text);
		break;
	case PARAM_INT:
	case PARAM_TIME:
		*(int64_t *) at = v.number;
		break;
	case PARAM_SIZE:
		*(uint64_t *) at = v.size;
		break;
	case PARAM_BOOL:
		*(bool *) at = v.yes;
		break;
	}
}

/* params_blamed - the row's default is another parameter's value, and the fault is that one's: it is said there */
static bool
params_blamed(const struct main_cf *cf, const struct params_row *row)
{
	const struct params_row *other;
	struct buf why = BUF_INIT(2000);
	bool	blamed;

	if (params_entry(cf, row->name) != NULL || row->def[0] != '$' || (other = params_find(row->def + 1)) == NULL)
		return false;
	blamed = params_entry(cf, other->name) != NULL && params_test(cf, other, &why) < 0;
	buf_fini(&why);
	return blamed;
}

struct params *
params_load(const struct main_cf *cf, struct buf *why)
{
	struct params *p = mem_alloc(sizeof *p);
	struct buf text = BUF_INIT(PARAMS_VALUE_MAX), reason = BUF_INIT(2000);
	struct params_value v;
	bool	ok = true;

	for (const struct params_row *row = params_table; row < params_table + params_count; row++) {
		buf_reset(&reason);
		if (params_value(cf, row, &text, &v, &reason) == 0) {
			params_store(p, row, buf_str(&text), v);
			continue;
		}
		ok = false;
		if (params_blamed(cf, row))
			continue;
		if (why->len > 0)
			buf_addc(why, '\n');
		params_where(cf, row->name, why);
		buf_adds(why, buf_str(&reason));
	}
	buf_fini(&text);
	buf_fini(&reason);
	if (!ok)
		params_free(&p);
	return p;
}

void
params_free(struct params **pp)
{
	if (*pp == NULL)
		return;
	for (size_t i = 0; i < params_count; i++)
		if (params_table[i].kind == PARAM_STR)
			mem_free((char **) ((char *) *pp + params_table[i].offset));
	mem_free(pp);
}

/* params_cpus - CPUs this process may use */
static int
params_cpus(void)
{
	cpu_set_t set;
	long	n;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		return CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 && n < PARAMS_PREFORK_MAX ? (int) n : 1;
}

int
params_prefork(const struct main_cf *cf, const char *service, int maxproc, struct buf *why)
{
	char   *name = mem_printf("%s_prefork_limit", service);
	struct buf text = BUF_INIT(PARAMS_VALUE_MAX), reason = BUF_INIT(1000);
	const char *advice;
	int64_t n = -1;

	if (params_eval(cf, name, &text, &reason) == 0) {
		if ((advice = params_check_prefork(buf_str(&text))) != NULL)
			buf_addf(&reason, "bad value: \"%.*s\"; %s", PARAMS_SHOWN, buf_str(&text), advice);
		else if (text.len == 0)
			n = strcmp(service, "verify") == 0 ? params_cpus() : 0;
		else
			units_int_parse(buf_str(&text), &n);
	}
	if (n < 0) {
		params_where(cf, name, why);
		buf_addf(why, "parameter %s: %s", name, buf_str(&reason));
	} else if (maxproc > 0 && n > maxproc)
		n = maxproc;
	buf_fini(&text);
	buf_fini(&reason);
	mem_free(&name);
	return (int) n;
}
