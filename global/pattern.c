/* global/pattern.c - Perl-compatible regular expressions with limits */
#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>

#define PATTERN_STEPS	100000		/* far above any sane expression, and about a millisecond */
#define PATTERN_DEPTH	1000
#define PATTERN_HEAP_KB	1024
#define PATTERN_TRIES	10

struct pattern {
	pcre2_code *code;
	unsigned over;			/* searches that a limit ended; PATTERN_TRIES: off */
};

struct pattern *
pattern_new(const char *text, size_t len, bool caseless, struct buf *why)
{
	struct pattern *p;
	PCRE2_UCHAR reason[160];
	PCRE2_SIZE at;
	pcre2_code *code;
	int	error;

	if (len > PATTERN_MAX) {
		buf_addf(why, "longer than %d bytes", PATTERN_MAX);
		return NULL;
	}
	if ((code = pcre2_compile((PCRE2_SPTR) text, len, caseless ? PCRE2_CASELESS : 0, &error, &at, NULL)) == NULL) {
		pcre2_get_error_message(error, reason, sizeof reason);
		buf_addf(why, "%s, at character %zu", (const char *) reason, (size_t) at + 1);
		return NULL;
	}
	(void) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);	/* where there is one */
	p = mem_alloc(sizeof *p);
	p->code = code;
	return p;
}

void
pattern_free(struct pattern **pp)
{
	if (*pp == NULL)
		return;
	pcre2_code_free((*pp)->code);
	mem_free(pp);
}

bool
pattern_match(struct pattern *p, const char *subject, size_t len, const char *file, unsigned line, unsigned *over_r)
{
	static pcre2_match_data *match;
	static pcre2_match_context *limits;
	int	got;

	if (p->over >= PATTERN_TRIES)
		return false;
	if (match == NULL) {
		match = pcre2_match_data_create(1, NULL);
		limits = pcre2_match_context_create(NULL);
		if (match == NULL || limits == NULL)
			msg_fatal("out of memory");
		pcre2_set_match_limit(limits, PATTERN_STEPS);
		pcre2_set_depth_limit(limits, PATTERN_DEPTH);
		pcre2_set_heap_limit(limits, PATTERN_HEAP_KB);
	}
	got = pcre2_match(p->code, (PCRE2_SPTR) subject, len, 0, 0, match, limits);
	if (got >= 0)
		return true;
	if (got == PCRE2_ERROR_NOMATCH)
		return false;
	++*over_r;
	if (++p->over == PATTERN_TRIES)
		msg_warn("%s, line %u: this expression has run into its limits %d times: it is off until the file changes",
		    file, line, PATTERN_TRIES);
	return false;
}
