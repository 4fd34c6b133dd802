/* util/dns_ares.h - carries DNS questions with c-ares: UDP, TCP when truncated, EDNS, several servers, repeats */
#ifndef UTIL_DNS_ARES_H
#define UTIL_DNS_ARES_H

#include <util/dns.h>

extern const struct dns_carrier dns_ares;

#endif
