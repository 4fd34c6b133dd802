/* commands/vouch/ask_word.c - what an answer of the verify service is called, and what is said when there is none */

#include "ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/json_out.h>
#include <util/mem.h>
#include <util/sock.h>
#include <util/units.h>

const struct ask_word ask_words[VERIFY_STATUSES] = {
	[VERIFY_OK]	= { "deliverable",   "ok",     VOUCH_DONE },
	[VERIFY_DEFER]	= { "deferred",	     "defer",  VOUCH_TEMPORARY },
	[VERIFY_BOUNCE] = { "undeliverable", "bounce", VOUCH_REFUSED },
	[VERIFY_TODO]	= { "in progress",   NULL,     VOUCH_TEMPORARY },
};

char *
ask_trouble(const char *path, const char *why)
{
	static const char connect[] = "connect to ";
	size_t	n = strlen(path), skip = strncmp(why, connect, strlen(connect)) == 0 ? strlen(connect) : 0;
	char   *dir = getcwd(NULL, 0), *text;

	if (strncmp(why + skip, path, n) == 0 && strncmp(why + skip + n, ": ", 2) == 0)
		why += skip + n + 2;			/* the client names it too, but not where it is */
	text = mem_printf("%s/%s: %s; see 'vouch status' and the log", dir != NULL ? dir : ".", path, why);

	free(dir);
	return text;
}

bool
ask_listens(const char *path)
{
	int	fd = sock_unix_connect(path, true);
	bool	listens = fd >= 0 || errno == EAGAIN;

	sock_close(&fd);
	return listens;
}

bool
ask_seconds(const char *text, int64_t *seconds_r)
{
	return units_int_parse(text, seconds_r) && *seconds_r >= 1 && *seconds_r <= ASK_TIMEOUT_MAX_S;
}

void
ask_json(struct buf *line, const char *addr, const char *said, int code, const char *reason)
{
	json_open(line, NULL, '{');
	json_put_str(line, "address", addr);
	json_put_str(line, "status", said);
	json_put_int(line, "code", code);
	json_put_str(line, "reason", reason);
	json_close(line, '}');
}
