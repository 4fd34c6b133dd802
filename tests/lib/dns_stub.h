/* tests/lib/dns_stub.h - a scripted name server, on loopback (UDP and TCP) or as a carrier without sockets
 * The zone is text, one line per fact, '#' comments:
 *	example.org MX 10 mx1.example.org	"MX 0 ." is a null MX
 *	mx1.example.org A 192.0.2.1		also AAAA
 *	1.2.0.192.in-addr.arpa PTR mx1.example.org
 *	www.example.org CNAME mx1.example.org	only the CNAME is answered; CNAME+ answers the chain
 *	bad.example SERVFAIL			also REFUSED TIMEOUT NXDOMAIN NODATA GARBAGE HALF NOSOA; for all types
 *	big.example TRUNCATE			UDP answers are cut, TCP answers are whole
 *	slow.example DELAY 3000			milliseconds before each answer
 * A type may stand before the fault to hit it alone: "example.org A SERVFAIL". Unknown names are NXDOMAIN.
 */
#ifndef TESTS_DNS_STUB_H
#define TESTS_DNS_STUB_H

#include <util/dns.h>
#include <util/evloop.h>

struct dns_stub;

struct dns_stub *dns_stub_new(struct ev_loop *, const char *zone);
void	dns_stub_free(struct dns_stub **);
void	dns_stub_zone(struct dns_stub *, const char *zone);	/* another zone from now on */
/* dns_stub_listen - on 127.0.0.1, a port of its choice; returned */
int	dns_stub_listen(struct dns_stub *);
unsigned dns_stub_asked(const struct dns_stub *, bool tcp);	/* questions so far */

/* the carrier answers from the stub that was made last */
extern const struct dns_carrier dns_stub_carrier;

#endif
