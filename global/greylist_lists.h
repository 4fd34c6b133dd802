/* global/greylist_lists.h - the allow-lists of greylisting: the files that its parameters name, read again when they change
 * What the lines mean is client_list, address_list and regexp_list; how files are watched is list_file.
 */
#ifndef GLOBAL_GREYLIST_LISTS_H
#define GLOBAL_GREYLIST_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include <global/client_addr.h>
#include <global/params.h>

struct greylist_lists;

/* greylist_lists_open - before the root directory changes. Files that are missing or bad are reported in the log */
struct greylist_lists *greylist_lists_open(const struct params *);
void	greylist_lists_free(struct greylist_lists **);
/* greylist_lists_check - look whether files have changed: at most every greylist_allowlist_check_interval, or at once */
void	greylist_lists_check(struct greylist_lists *, int64_t now_ms, bool at_once);

/* Each returns whether the list has it, and if so "file:line" in rule_r, borrowed until the next check. name may be "" */
bool	greylist_lists_client(struct greylist_lists *, const struct client_addr *, const char *name, const char **rule_r);
bool	greylist_lists_recipient(struct greylist_lists *, const char *recipient, const char **rule_r);
bool	greylist_lists_sender(struct greylist_lists *, const char *sender, const struct client_addr *, const char *name,
	    const char **rule_r);
/* greylist_lists_regexp - client is the address as it came */
bool	greylist_lists_regexp(struct greylist_lists *, const char *client, const char *sender, const char *recipient,
	    const char **rule_r);
/* greylist_lists_excluded - greylist_auto_allow_exclude */
bool	greylist_lists_excluded(struct greylist_lists *, const struct client_addr *, const char *name);

#endif
