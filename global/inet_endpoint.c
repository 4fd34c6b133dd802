/* global/inet_endpoint.c - the addresses and the port that an inet service of master.cf means */
#include "inet_endpoint.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/units.h>

#define INET_SHOWN "%.80s"		/* how much of a bad word a message shows */

static const char inet_blank[] = ", \t\r\n";

/* inet_words - whether a list separated by commas and blanks holds this word */
static bool
inet_words(const char *list, const char *word)
{
	size_t	len;

	for (list += strspn(list, inet_blank); *list != 0; list += len, list += strspn(list, inet_blank)) {
		len = strcspn(list, inet_blank);
		if (strlen(word) == len && strncasecmp(list, word, len) == 0)
			return true;
	}
	return false;
}

/* ports */

/* inet_port_known - known_tcp_ports: "lmtp=24, smtps=submissions=465": names before the number */
static bool
inet_port_known(const char *list, const char *name, char **port_r)
{
	char   *copy = mem_strdup(list), *save, *names, *number;
	bool	found = false;

	for (char *p = strtok_r(copy, inet_blank, &save); p != NULL && !found; p = strtok_r(NULL, inet_blank, &save)) {
		if ((number = strrchr(p, '=')) == NULL)
			continue;
		*number++ = 0;
		for (names = p; names != NULL && !found; ) {
			char   *one = strsep(&names, "=");

			found = *one != 0 && strcmp(one, name) == 0;
		}
		if (found)
			*port_r = mem_strdup(number);
	}
	mem_free(&copy);
	return found;
}

/* inet_port - a number, or a name that known_tcp_ports or services(5) has; NULL with why */
static char *
inet_port(const char *text, const char *known, struct buf *why)
{
	struct servent *se;
	char   *port = NULL, *ret = NULL;
	int64_t n;

	if (*text != 0 && strspn(text, "0123456789") == strlen(text))
		port = mem_strdup(text);
	else if (!inet_port_known(known, text, &port) && (se = getservbyname(text, "tcp")) != NULL)
		port = mem_printf("%d", ntohs((uint16_t) se->s_port));
	if (port == NULL)
		buf_addf(why, "unknown port \"" INET_SHOWN "\": use a number, or a name from known_tcp_ports or /etc/services",
		    text);
	else if (!units_int_parse(port, &n) || n < 1 || n > 65535)
		buf_addf(why, "bad port \"" INET_SHOWN "\": use a number from 1 to 65535", port);
	else
		ret = mem_printf("%d", (int) n);		/* 025 is 25 */
	mem_free(&port);
	return ret;
}

/* addresses */

struct inet_families {
	bool	v4, v6;
};

/* inet_families - those of inet_protocols that this system has */
static struct inet_families
inet_families(const char *protocols)
{
	struct inet_families f;
	bool	all = inet_words(protocols, "all");
	int	fd;

	f.v4 = all || inet_words(protocols, "ipv4");
	f.v6 = all || inet_words(protocols, "ipv6");
	if (f.v6 && (fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0)
		close(fd);
	else
		f.v6 = false;
	return f;
}

static bool
inet_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *) (const void *) sa)->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr);
}

static void
inet_host_add(struct inet_endpoint *e, const struct sockaddr *sa, socklen_t len)
{
	char	host[NI_MAXHOST];

	if (getnameinfo(sa, len, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
		return;
	for (size_t i = 0; i < e->hosts_n; i++)
		if (strcmp(e->hosts[i], host) == 0)
			return;
	e->loopback = (e->hosts_n == 0 || e->loopback) && inet_loopback(sa);
	e->hosts = mem_grow(e->hosts, e->hosts_n + 1, sizeof *e->hosts);
	e->hosts[e->hosts_n++] = mem_strdup(host);
}

/* inet_lookup - getaddrinfo with a time limit: a name server that is away must not stop the master
 * The request is left to itself when it cannot be called off; that costs its memory. */
static int
inet_lookup(const char *host, struct addrinfo **list_r)
{
	static const struct addrinfo numeric = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct request {
		struct gaicb cb;
		struct addrinfo hints;
		char	name[];
	} *r;
	const struct gaicb *wait[1];
	struct timespec limit = { .tv_sec = INET_ENDPOINT_WAIT_MS / 1000 };
	struct gaicb *start[1];
	int	rc;

	*list_r = NULL;
	if (getaddrinfo(host, NULL, &numeric, list_r) == 0)
		return 0;
	r = mem_alloc(sizeof *r + strlen(host) + 1);
	memcpy(r->name, host, strlen(host) + 1);
	r->hints.ai_socktype = SOCK_STREAM;
	r->cb.ar_name = r->name;
	r->cb.ar_request = &r->hints;
	start[0] = &r->cb;
	wait[0] = &r->cb;
	if ((rc = getaddrinfo_a(GAI_NOWAIT, start, 1, NULL)) == 0) {
		do
			rc = gai_suspend(wait, 1, &limit);
		while (rc == EAI_INTR);
		rc = gai_error(&r->cb);
		if (rc == EAI_INPROGRESS && gai_cancel(&r->cb) != EAI_CANCELED)
			return EAI_AGAIN;
		if (rc == 0)
			*list_r = r->cb.ar_result;
	}
	mem_free(&r);
	return rc;
}

/* inet_host - all addresses of one host; what another family than the wanted ones has is left out */
static int
inet_host(struct inet_endpoint *e, const char *host, struct inet_families f, struct buf *why)
{
	struct addrinfo *list;
	int	rc = inet_lookup(host, &list);
	bool	found = false;

	if (rc != 0) {
		buf_addf(why, "bad hostname or network address: " INET_SHOWN ": %s", host,
		    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		if ((ai->ai_family == AF_INET && f.v4) || (ai->ai_family == AF_INET6 && f.v6)) {
			inet_host_add(e, ai->ai_addr, ai->ai_addrlen);
			found = true;
		}
	freeaddrinfo(list);
	if (found)
		return 0;
	buf_addf(why, "no valid IP address found: " INET_SHOWN ": inet_protocols or the system has not its kind", host);
	return -1;
}

static void
inet_wildcard(struct inet_endpoint *e, struct inet_families f)
{
	struct sockaddr_in any4 = { .sin_family = AF_INET };
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };

	if (f.v4)
		inet_host_add(e, (struct sockaddr *) &any4, sizeof any4);
	if (f.v6)
		inet_host_add(e, (struct sockaddr *) &any6, sizeof any6);
}

/* inet_loopbacks - the addresses of the loopback interface */
static void
inet_loopbacks(struct inet_endpoint *e, struct inet_families f)
{
	struct ifaddrs *list = NULL;

	if (getifaddrs(&list) < 0)
		return;
	for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL || (i->ifa_flags & IFF_LOOPBACK) == 0)
			continue;
		if (i->ifa_addr->sa_family == AF_INET && f.v4)
			inet_host_add(e, i->ifa_addr, sizeof(struct sockaddr_in));
		else if (i->ifa_addr->sa_family == AF_INET6 && f.v6)
			inet_host_add(e, i->ifa_addr, sizeof(struct sockaddr_in6));
	}
	freeifaddrs(list);
}

/* inet_unbracket - [host] -> host, in place */
static char *
inet_unbracket(char *host)
{
	size_t	len = strlen(host);

	if (len < 2 || host[0] != '[' || host[len - 1] != ']')
		return host;
	host[len - 1] = 0;
	return host + 1;
}

/* inet_interfaces - the addresses for a service that names a port only */
static int
inet_interfaces(struct inet_endpoint *e, const char *interfaces, struct inet_families f, struct buf *why)
{
	char   *copy, *save;
	int	ret = 0;

	if (inet_words(interfaces, "all"))
		inet_wildcard(e, f);
	else if (inet_words(interfaces, "loopback-only"))
		inet_loopbacks(e, f);
	else {
		copy = mem_strdup(interfaces);
		for (char *p = strtok_r(copy, inet_blank, &save); p != NULL && ret == 0; p = strtok_r(NULL, inet_blank, &save))
			ret = inet_host(e, inet_unbracket(p), f, why);
		mem_free(&copy);
	}
	if (ret == 0 && e->hosts_n == 0) {
		buf_addf(why, "service definition requires valid host name or address, or non-empty inet_interfaces setting");
		ret = -1;
	}
	return ret;
}

int
inet_endpoint_find(const char *name, const struct params *p, struct inet_endpoint *e, struct buf *why)
{
	struct inet_families f = inet_families(p->inet_protocols);
	char   *copy = mem_strdup(name), *colon = strrchr(copy, ':'), *host = NULL;
	int	ret = -1;

	*e = (struct inet_endpoint) { .port = NULL };
	if (colon != NULL) {
		*colon = 0;
		host = inet_unbracket(copy);
	}
	if ((e->port = inet_port(colon != NULL ? colon + 1 : copy, p->known_tcp_ports, why)) == NULL)
		goto out;
	if (host != NULL && *host != 0) {
		if (inet_host(e, host, f, why) < 0)
			goto out;
		/* an address is named by its own spelling: ::0001 is ::1; a host name as it is */
		if (e->hosts_n == 1 && (strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host)))
			e->id = mem_printf("[%s]:%s", e->hosts[0], e->port);
		else
			e->id = mem_printf("[%s]:%s", host, e->port);
	} else {
		if (inet_interfaces(e, p->inet_interfaces, f, why) < 0)
			goto out;
		e->id = mem_strdup(e->port);
	}
	ret = 0;
out:
	mem_free(&copy);
	return ret;
}

void
inet_endpoint_fini(struct inet_endpoint *e)
{
	for (size_t i = 0; i < e->hosts_n; i++)
		mem_free(&e->hosts[i]);
	mem_free(&e->hosts);
	mem_free(&e->id);
	mem_free(&e->port);
	e->hosts_n = 0;
}
