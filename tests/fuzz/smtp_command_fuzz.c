/* tests/fuzz/smtp_command_fuzz.c - a command line of a client: verb, path, parameters; an address survives being written again */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/smtp_command.h>
#include <global/smtp_path.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
path_again(const struct smtp_path *p, unsigned flags)
{
	struct buf text = BUF_INIT(8192);
	struct smtp_path again;
	const char *why;

	if (strlen(p->user) > SMTP_USER_MAX || strlen(p->host) > SMTP_HOST_MAX)
		abort();
	buf_adds(&text, "<");
	smtp_path_show(&text, p->user, p->host);
	buf_adds(&text, ">");
	/* quoting may make it too long for one that was at the limit */
	if (text.len <= SMTP_PATH_MAX && (!smtp_path_parse(&again, text.data, text.len, flags, &why) ||
	    strcmp(again.user, p->user) != 0 || strcmp(again.host, p->host) != 0 || again.utf8 != p->utf8))
		abort();
	buf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char   *line = malloc(n + 1);		/* of its own, so that a read too far is seen */
	struct smtp_word path, rest, name, value;
	struct smtp_command c;
	struct smtp_path p;
	const char *why;
	int	one;

	if (n < 1) {
		free(line);
		return 0;
	}
	memcpy(line, data + 1, n - 1);
	smtp_command_parse(&c, line, n - 1);
	if (c.verb >= SMTP_VERBS || c.name.n + c.arg.n > n)
		abort();
	if ((c.verb == SMTP_VERB_MAIL || c.verb == SMTP_VERB_RCPT) && smtp_command_path(&c, &path, &rest)) {
		if (path.n == 0 || path.p < line || path.p + path.n > line + n - 1)
			abort();
		why = NULL;
		if (smtp_path_parse(&p, path.p, path.n, data[0] & 15u, &why))
			path_again(&p, data[0] & 15u);
		else if (why == NULL)
			abort();
		while ((one = smtp_param_next(&rest, &name, &value)) > 0)
			if (name.n == 0 || name.p < line || rest.p > line + n - 1 || (value.p != NULL && value.n == 0))
				abort();
	}
	free(line);
	return 0;
}
