/* tests/lib/cleanup_stub.h - a scripted cleanup service: takes probes, checks and shows them, and misbehaves on request
 * source: spec probe-submission. It keeps and delivers nothing. Lives on an event loop; tests/tools/cleanupd.c is the
 * same as a program.
 */
#ifndef TESTS_CLEANUP_STUB_H
#define TESTS_CLEANUP_STUB_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>
#include <util/evloop.h>

enum cleanup_stub_mode {
	STUB_GOOD,
	STUB_IGNORE,		/* accepts nothing: the listen queue fills up */
	STUB_REFUSE,		/* closes each connection at once */
	STUB_SILENT,		/* never announces itself */
	STUB_BADNAME,		/* announces another protocol */
	STUB_NOID,		/* announces no queue id */
	STUB_EXTRA,		/* announces another attribute after the queue id */
	STUB_HALF,		/* half an announcement, then nothing */
	STUB_HALFCLOSE,		/* half an announcement, then end of file */
	STUB_BYTES,		/* the announcement byte by byte, one in each turn of the loop */
	STUB_GARBAGE,		/* endless bytes that are no attribute list, instead of the announcement */
	STUB_EARLY,		/* announcement and final status in one write, before it reads */
	STUB_DROP,		/* closes after the message, without a final status */
	STUB_HANG,		/* reads the message and never answers */
	STUB_BADSTATUS,		/* a final status that is no number */
};
enum { STUB_MODES = STUB_BADSTATUS + 1 };

struct cleanup_stub_probe {
	const char *sender, *rcpt;	/* borrowed for the call; NULL when the record is missing */
	const char *queue_id;
	uint32_t flags;
	uint32_t trace_flags;
	unsigned status;		/* the final status it gets, by the rules of section 5.3 or as scripted; may be changed */
	const char *why;		/* for a status that the message brought upon itself, else NULL */
	const struct buf *raw;		/* all bytes of the client */
};
typedef void cleanup_stub_fn(void *ctx, struct cleanup_stub_probe *);

struct cleanup_stub {
	/* the script; may be changed at any time, connections look at it when they get there */
	enum cleanup_stub_mode mode;
	int64_t	 announce_ms;		/* delay before the announcement */
	int64_t	 status_ms;		/* delay before the final status */
	unsigned status;		/* final status of a good message */
	const char *reason;		/* its text, NULL: none */
	const char *queue_id;		/* for all messages; NULL: each its own */
	cleanup_stub_fn *seen;		/* called for each complete message, before the status is sent; may be NULL */
	void	*ctx;
	/* what happened */
	unsigned accepted, messages, open, open_max;
	unsigned reads_max;		/* most reads that one message took */
	/* private */
	struct ev_loop *loop;
	int	 fd;
	struct ev_io io;
	LIST_HEAD(, cleanup_stub_conn) conns;
	unsigned next_id;
};

/* cleanup_stub_open - listen at path; the struct is zeroed first; 0, or -1 with errno */
int	cleanup_stub_open(struct cleanup_stub *, struct ev_loop *, const char *path, int backlog);
/* cleanup_stub_script - change the mode (STUB_IGNORE needs to be told) */
void	cleanup_stub_script(struct cleanup_stub *, enum cleanup_stub_mode);
void	cleanup_stub_close(struct cleanup_stub *);
const char *cleanup_stub_mode_name(enum cleanup_stub_mode);
bool	cleanup_stub_mode_find(const char *, enum cleanup_stub_mode *);

#endif
