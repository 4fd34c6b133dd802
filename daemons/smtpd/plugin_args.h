/* daemons/smtpd/plugin_args.h - arguments of built-in plugins: pairs of a name and a value, described by a table */
#ifndef SMTPD_PLUGIN_ARGS_H
#define SMTPD_PLUGIN_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vouch_plugin.h"

enum plugin_arg_kind {
	PLUGIN_ARG_YES,		/* bool: 0 or 1 */
	PLUGIN_ARG_TIME,	/* int64_t, milliseconds; a bare number is seconds */
	PLUGIN_ARG_NUMBER,	/* int64_t, from min to max */
	PLUGIN_ARG_WORD,	/* int: place in the list of words, parted by blanks */
	PLUGIN_ARG_TEXT,	/* char *: heap; replaced */
};

struct plugin_arg {
	const char *name;	/* compared without case */
	enum plugin_arg_kind kind;
	size_t	    offset;	/* in the plugin's struct, which holds the default */
	int64_t	    min, max;	/* of numbers; of times in ms, max 0: any */
	const char *words;
};

/* plugin_args_parse - 0, or -1 by vh_error, which names the argument and what it can be */
int	plugin_args_parse(void *to, const struct plugin_arg *, size_t n, int argc, char **argv, struct vh_err *);

#endif
