/* global/smtp_command.h - one command line of an SMTP client -> verb, argument, parameters; no opinions
 * source: RFC 5321 sections 4.1.1 and 4.1.2. The line comes without its CR LF; everything points into it.
 */
#ifndef GLOBAL_SMTP_COMMAND_H
#define GLOBAL_SMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#define SMTP_COMMAND_MAX	512	/* bytes of a command line with CR LF: RFC 5321 section 4.5.3.1.4 */
#define SMTP_COMMAND_PARAMS_MAX	2048	/* of MAIL and RCPT, with their parameters */

enum smtp_verb {
	SMTP_VERB_UNKNOWN = 0,
	SMTP_VERB_HELO, SMTP_VERB_EHLO, SMTP_VERB_MAIL, SMTP_VERB_RCPT, SMTP_VERB_DATA, SMTP_VERB_RSET, SMTP_VERB_NOOP,
	SMTP_VERB_QUIT, SMTP_VERB_HELP, SMTP_VERB_VRFY, SMTP_VERB_STARTTLS,
	SMTP_VERBS
};

struct smtp_word {
	const char *p;			/* NULL: not there */
	size_t	    n;
};

struct smtp_command {
	enum smtp_verb verb;
	struct smtp_word name, arg;	/* as they came; blanks around arg are gone */
};

void	smtp_command_parse(struct smtp_command *, const char *line, size_t n);
const char *smtp_verb_name(enum smtp_verb);
/* smtp_command_path - MAIL FROM:path params and RCPT TO:path params
 * path_r    the text of the path, not looked at yet (global/smtp_path.h); params_r what follows it
 * returns   false: no FROM: or TO:, or no path */
bool	smtp_command_path(const struct smtp_command *, struct smtp_word *path_r, struct smtp_word *params_r);
/* smtp_param_next - take the next parameter off rest; 1 there is one, 0 the end, -1 what follows is none
 * value_r   p is NULL when it has no value */
int	smtp_param_next(struct smtp_word *rest, struct smtp_word *name_r, struct smtp_word *value_r);
bool	smtp_word_is(const struct smtp_word *, const char *text);	/* without case */

#endif
