/* global/nexthop.c - where a transport goes next */
#include "nexthop.h"

#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

static bool
nexthop_port(const char *s, unsigned *port_r)
{
	unsigned long v = 0;
	struct servent *se;
	const char *p = s;

	for (; isdigit((unsigned char) *p); p++)
		if ((v = v * 10 + (unsigned) (*p - '0')) > 65535)
			return false;
	if (*p == 0 && p > s && v > 0) {
		*port_r = (unsigned) v;
		return true;
	}
	if (strcmp(s, "smtp") == 0)			/* without /etc/services, too */
		*port_r = 25;
	else if (strcmp(s, "lmtp") == 0)
		*port_r = 24;
	else if (strcmp(s, "submission") == 0)
		*port_r = 587;
	else if (*s != 0 && !isdigit((unsigned char) *s) && (se = getservbyname(s, "tcp")) != NULL)
		*port_r = ntohs((uint16_t) se->s_port);
	else
		return false;
	return true;
}

bool
nexthop_parse(const char *s, size_t n, struct nexthop *to, const char **why_r)
{
	char	text[sizeof to->host], *host = text, *port = NULL, *end;

	memset(to, 0, sizeof *to);
	if (n == 0 || n >= sizeof text) {
		*why_r = n == 0 ? "empty next hop" : "next hop too long";
		return false;
	}
	memcpy(text, s, n);
	text[n] = 0;
	if (strncmp(text, "unix:", 5) == 0) {
		to->is_unix = true;
		strcpy(to->host, text + 5);
		*why_r = "unix: needs a path";
		return to->host[0] != 0;
	}
	if (strncmp(text, "inet:", 5) == 0)
		host += 5;
	if (*host == '[') {
		to->direct = true;
		if ((end = strchr(++host, ']')) == NULL || (end[1] != 0 && end[1] != ':')) {
			*why_r = "missing ']', or text after it";
			return false;
		}
		*end = 0;
		if (end[1] == ':')
			port = end + 2;
	} else if ((end = strchr(host, ':')) != NULL) {
		*end = 0;
		port = end + 1;
		if (strchr(port, ':') != NULL) {
			*why_r = "write IPv6 addresses in brackets: [2001:db8::1]:25";
			return false;
		}
	}
	if (port != NULL && !nexthop_port(port, &to->port)) {
		*why_r = "bad port";
		return false;
	}
	if (*host == 0) {
		*why_r = "no host name";
		return false;
	}
	for (end = to->host; *host != 0; host++)
		*end++ = (char) tolower((unsigned char) *host);
	if (end > to->host + 1 && end[-1] == '.')
		end[-1] = 0;
	*end = 0;
	return true;
}

const char *
nexthop_next(const char **p, size_t *n_r)
{
	const char *start = *p + strspn(*p, " \t,");

	*n_r = strcspn(start, " \t,");
	*p = start + *n_r;
	return *n_r > 0 ? start : NULL;
}

bool
nexthop_listed(const char *list, const char *name)
{
	const char *item;
	size_t	n;

	while ((item = nexthop_next(&list, &n)) != NULL)
		if (strlen(name) == n && strncmp(item, name, n) == 0)
			return true;
	return false;
}
