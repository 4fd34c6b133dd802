/* tests/lib/smtp_stub.h - scripted SMTP servers on loopback: each connection follows its script, line by line
 * Host K of a stub listens on 127.0.0.(10+K) (K = 6: ::1), all on one port. A connection takes the next script of its host.
 *	S: text		send a line		S- text		send bytes, \r \n \xHH known, no line end
 *	S* N text	send a line N times	S= N text	send bytes N times, as S-
 *	C: text		wait for this line ('*' at the end: any rest)
 *	C* text		wait for this line, whatever comes before it
 *	C- text		wait for these bytes
 *	B:		from now on lines may end with LF alone
 *	T: +12s		have the clock moved on	X: close|reset	close the connection
 *	E:		the client closes now, without a word		W:	say nothing until the client closes
 *	L: ok|fail	take or break a TLS handshake
 *	A: addr		have the test ask about addr now
 *	#N		the following lines are line N of the test's file
 * Whatever is not as the script says is an error, kept as text with the script's line number.
 */
#ifndef TESTS_SMTP_STUB_H
#define TESTS_SMTP_STUB_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>
#include <util/evloop.h>

#define SMTP_STUB_HOSTS	7

struct smtp_stub;

struct smtp_stub *smtp_stub_new(struct ev_loop *);
struct smtp_stub *smtp_stub_new_at(struct ev_loop *, unsigned port);	/* 0: any */
void	smtp_stub_free(struct smtp_stub **);
unsigned smtp_stub_port(const struct smtp_stub *);
bool	smtp_stub_has_ipv6(const struct smtp_stub *);
/* smtp_stub_script - what the next connection to that host shall hear; text is copied, line is where it begins */
void	smtp_stub_script(struct smtp_stub *, unsigned host, const char *text, unsigned line);
/* smtp_stub_deaf - host takes no connection from now on */
void	smtp_stub_deaf(struct smtp_stub *, unsigned host);
const char *smtp_stub_error(const struct smtp_stub *);	/* "" as long as all went by the scripts */
bool	smtp_stub_done(const struct smtp_stub *);	/* all scripts are at their end, no connection is open */
/* smtp_stub_advance - do what the oldest waiting script waits for: move the clock (T:), or hand over an address (A:), which
 * the caller frees; false: none waits. To be called when nothing else happens */
bool	smtp_stub_advance(struct smtp_stub *, char **ask_r);
unsigned smtp_stub_open_max(const struct smtp_stub *);	/* most connections at a time */

#endif
