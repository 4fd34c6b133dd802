/* commands/vouchconf/request.h - service/type/what, as -M -F -P take it; "*" stands for any */
#ifndef COMMANDS_VOUCHCONF_REQUEST_H
#define COMMANDS_VOUCHCONF_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <global/master_cf.h>
#include "vouchconf.h"

#define REQUEST_PARTS	3

struct request {
	char	*part[REQUEST_PARTS];	/* service, type, field or parameter; NULL: not given, which means any */
	size_t	 parts;
	const char *value;		/* edits: the text after "=", borrowed */
	int	 field;			/* -F: index of part 2, -1 = any */
	bool	 matched;
};

/* request_parse - take a request apart
 * text      borrowed for the call
 * exact     parts that must be there (edits), or 0
 * returns   CONF_OK or CONF_USAGE (said) */
int	request_parse(struct request *, const struct conf *, const char *text, size_t exact);
void	request_fini(struct request *);
/* request_match - whether it is about this entry; remembers a match */
bool	request_match(struct request *, const struct master_cf_entry *);
bool	request_any(const char *part);

#endif
