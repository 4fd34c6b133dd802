/* global/hop_answer.h - what the next hop says about a message or a recipient, as it is passed on to the client
 */
#ifndef GLOBAL_HOP_ANSWER_H
#define GLOBAL_HOP_ANSWER_H

#include <global/smtp_said.h>

#define HOP_ANSWER_TEXT_MAX 400		/* bytes of text: a reply line of ours is 512 at most */

enum hop_verdict {
	HOP_NONE,
	HOP_OK,				/* the next hop has taken it */
	HOP_SOFT,			/* not now, or nobody knows */
	HOP_HARD,			/* never, it says */
};

struct hop_answer {			/* zero it */
	enum hop_verdict verdict;
	char	 dsn[12];		/* enhanced status code, of the verdict's class */
	unsigned code;			/* the reply code of an SMTP server; 0: it said nothing */
	char	*text;			/* one line that names the host; never NULL once there is a verdict */
	char	*said;			/* its own words alone, for its clients; NULL: it said nothing */
};

void	hop_answer_clear(struct hop_answer *);		/* frees */
/* hop_answer_set - text is copied and cut; dsn gets the verdict's class; code and said: none */
void	hop_answer_set(struct hop_answer *, enum hop_verdict, const char *dsn, const char *text);
void	hop_answer_say(struct hop_answer *, enum hop_verdict, const char *dsn, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
void	hop_answer_copy(struct hop_answer *to, const struct hop_answer *from);
/* hop_answer_said - add the words of a server that is no SMTP server */
void	hop_answer_said(struct hop_answer *, const char *);
/* hop_answer_reply - what an SMTP or LMTP server has replied; a yes is quoted without its codes
 * good      the first digit of a yes */
void	hop_answer_reply(struct hop_answer *, const struct smtp_said *, enum smtp_at, const struct smtp_reply *, unsigned good);

#endif
