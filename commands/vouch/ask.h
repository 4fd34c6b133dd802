/* commands/vouch/ask.h - what query, update and verify share: the words of an answer, the way to the verify service */
#ifndef ASK_H
#define ASK_H

#include <stdbool.h>

#include <global/verify_proto.h>
#include <util/buf.h>

#include "vouch.h"

#define ASK_TIMEOUT_S	 30		/* unless -t says otherwise; above any sensible address_verify_hold_time */
#define ASK_TIMEOUT_MAX_S 86400
#define ASK_PAUSE_MIN_MS 50		/* who waits asks again after so long, then after longer pauses */
#define ASK_PAUSE_MAX_MS 1000

#define ASK_NO_ANSWER	 "no answer"	/* the word where there is no status; its code is -1 */

extern const struct ask_word {
	const char *said, *code;	/* what query prints; what update takes, besides the number */
	int	    exit_code;
} ask_words[VERIFY_STATUSES];

/* ask_path - the socket, relative to queue_directory, which becomes the working directory; heap, NULL: said */
char   *ask_path(const struct vouch *);
/* ask_listens - whether somebody listens at path, or it is too busy to tell; else errno */
bool	ask_listens(const char *path);
/* ask_trouble - why there is no answer, where it was looked for, and what to do; heap */
char   *ask_trouble(const char *path, const char *why);
/* ask_seconds - the value of -t; false: out of bounds */
bool	ask_seconds(const char *, int64_t *seconds_r);
/* ask_json - append one answer as an object on one line, without its line end */
void	ask_json(struct buf *, const char *addr, const char *said, int code, const char *reason);

#endif
