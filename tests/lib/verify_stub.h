/* tests/lib/verify_stub.h - a scripted verify service: answers from a fixed rule, and misbehaves on request
 * source: spec verify-protocol sections 2 to 4. For tests of clients. Lives on an event loop.
 * Rule: a query's recipient status is the address's first character when that is 0 to 3, else 3; the reason is
 * "text for ADDRESS". An update is acknowledged; its address, status and reason are kept. An address that begins
 * with "!" is refused (BAD), either way.
 */
#ifndef TESTS_VERIFY_STUB_H
#define TESTS_VERIFY_STUB_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>
#include <util/evloop.h>

enum verify_stub_mode {
	VSTUB_GOOD,
	VSTUB_IGNORE,		/* accepts nothing */
	/* instead of the announcement */
	VSTUB_CLOSE,		/* end of file */
	VSTUB_SILENT,
	VSTUB_BADNAME,		/* the protocol's name in correct English */
	VSTUB_EMPTY,		/* an empty list */
	VSTUB_GARBAGE,		/* endless bytes that are no list */
	VSTUB_TALK,		/* announcement and an unasked reply in one write */
	VSTUB_BYTES,		/* everything byte by byte, one in each turn of the loop */
	/* instead of a reply */
	VSTUB_EOF,		/* end of file */
	VSTUB_HANG,
	VSTUB_HALF,		/* half a reply, then nothing */
	VSTUB_HALFCLOSE,	/* half a reply, then end of file */
	VSTUB_FLOOD,		/* endless bytes that are no list */
	VSTUB_BADNUM,		/* status=fine */
	VSTUB_BADSTATUS,	/* recipient_status=9 */
	VSTUB_MISSING,		/* no reason (query), no attribute at all (update) */
	VSTUB_ORDER,		/* reason first (query), an unknown attribute alone (update) */
	/* good replies, and besides */
	VSTUB_EXTRA,		/* unknown attributes between and after the wanted ones */
	VSTUB_TWICE,		/* each reply twice */
	VSTUB_ONCE,		/* end of file after each reply */
	VSTUB_LATER,		/* a byte some turns after each reply */
	VSTUB_HASTY,		/* acknowledges a request before its end */
};

struct verify_stub {
	enum verify_stub_mode mode;	/* may be changed at any time */
	unsigned fail_first;		/* so many connections get end of file instead of the first reply */
	unsigned accepted, requests, open, open_max, closed, pokes;
	char	 addr[300], reason[300];	/* of the last request; reason of an update */
	int	 status;
	/* private */
	struct ev_loop *loop;
	int	 fd;
	struct ev_io io;
	LIST_HEAD(, verify_stub_conn) conns;
};

/* verify_stub_open - listen at path; the struct is zeroed first; 0, or -1 with errno */
int	verify_stub_open(struct verify_stub *, struct ev_loop *, const char *path, int backlog);
void	verify_stub_script(struct verify_stub *, enum verify_stub_mode);
void	verify_stub_hangup(struct verify_stub *);	/* closes all connections, goes on listening */
void	verify_stub_poke(struct verify_stub *);		/* sends a byte on all connections, unasked */
void	verify_stub_close(struct verify_stub *);

#endif
