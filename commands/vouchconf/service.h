/* commands/vouchconf/service.h - one entry of master.cf, its options taken apart
 * The options are the words up to the first that does not begin with "-"; "-oname=value" and
 * "-o { name = value }" become one word with name and value, anything else is text.
 */
#ifndef COMMANDS_VOUCHCONF_SERVICE_H
#define COMMANDS_VOUCHCONF_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>
#include <global/main_cf.h>
#include <global/master_cf.h>

struct service_word {
	bool	is_o;			/* "-o text"; else a plain word */
	char   *text;			/* braces removed; for -o "name=value" if it is that */
	char   *name, *value;		/* of -o name=value; else NULL */
};

struct service {
	const struct master_cf_entry *entry;	/* borrowed */
	struct service_word *words;
	size_t	count, room;
	size_t	options;		/* words of the option part, at the front */
};

void	service_init(struct service *, const struct master_cf_entry *);
void	service_fini(struct service *);
/* service_get - the value of the last -o name=value, or NULL */
const char *service_get(const struct service *, const char *name);
void	service_set(struct service *, const char *name, const char *value);
void	service_remove(struct service *, const char *name);
/* service_config - main.cf with this service's -o over it; a new main_cf */
struct main_cf *service_config(const struct service *, const struct main_cf *);
/* service_expand - replace $name in the -o values; -1 with why */
int	service_expand(struct service *, const struct main_cf *, struct buf *why);
/* service_add_command - append command and arguments to a line that has col columns in use */
void	service_add_command(struct buf *, const struct service *, bool fold, size_t col);
/* service_add_entry - append the whole entry, in columns, without newline */
void	service_add_entry(struct buf *, const struct service *, bool fold);
/* service_parse - a new entry from this service's words, one field replaced
 * field     index of the field, or -1
 * value     its text; for the command with all arguments
 * returns   0, or -1 with why: the value does not fit */
int	service_parse(const struct service *, int field, const char *value, struct master_cf_entry **entry_r,
	    struct buf *why);

#endif
