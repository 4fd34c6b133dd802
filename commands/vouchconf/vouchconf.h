/* commands/vouchconf/vouchconf.h - what the parts of vouchconf(1) agree on
 * One struct conf holds what the command line asked for and, once read, the configuration.
 * Results go to stdout, messages to stderr through msg.h.
 */
#ifndef COMMANDS_VOUCHCONF_H
#define COMMANDS_VOUCHCONF_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>
#include <global/main_cf.h>
#include <global/main_cf_edit.h>
#include <global/master_cf.h>

enum conf_status {
	CONF_OK = 0,
	CONF_FAILED = 1,		/* a file that cannot be read or written, a value that is refused */
	CONF_USAGE = 2,
	CONF_LATER = 75			/* another editor has the file: sysexits.h's EX_TEMPFAIL */
};

enum conf_mode {
	CONF_MAIN,			/* -p: parameters of main.cf */
	CONF_ENTRIES,			/* -M: whole entries of master.cf */
	CONF_FIELDS,			/* -F: fields of master.cf */
	CONF_OPTIONS			/* -P: parameters set with -o in master.cf */
};

struct conf {
	enum conf_mode mode;
	bool	    only_set;		/* -n */
	bool	    defaults;		/* -d */
	bool	    values_only;	/* -h */
	bool	    names_only;		/* -H */
	bool	    expand;		/* -x */
	bool	    fold;		/* -f */
	bool	    json;		/* -j */
	bool	    quiet;		/* -q */
	bool	    dir_given;		/* -c or MAIL_CONFIG: -n shows config_directory then */
	const char *dir;
	char	  **overrides;		/* -o, borrowed from argv */
	size_t	    noverrides;
	/* conf_read fills in: */
	struct main_cf *cf;		/* never NULL then; empty with -d */
	struct master_cf services;
	struct main_cf *used;		/* names that occur as $name in some value; the values here are empty */
};

/* conf_fatal - say why nothing, or not everything, will be done; the caller returns a status */
void	conf_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* conf_warn - main_cf_warn_fn and master_cf_warn_fn: say it */
void	conf_warn(void *ctx, const char *text);
/* conf_quiet - the same for those who do not want to hear it again */
void	conf_quiet(void *ctx, const char *text);

#define EDIT_WAIT_MS	10000	/* for another editor: ten times what a slow disk needs */

/* names.c: which parameters exist here; names_check_early comes first */
bool	names_known(const struct conf *, const char *name);	/* by us, or derived from a service */
bool	names_shown(const struct conf *, const char *name);	/* known, or set and used as $name somewhere */
bool	names_readonly(const char *name);
void	names_check_early(struct conf *);	/* warns of undefined names and of read-only ones that were set */
void	names_check_late(const struct conf *);	/* warns of unused names */

/* print.c: one result */
#define PRINT_ROW_WIDTH	 80		/* of a folded parameter, and of a folded entry: as postconf(1) has it */
#define PRINT_ENTRY_WIDTH 79
#define PRINT_INDENT	4

/* print_word - append a word to a line, on a new line if it would end beyond width
 * width     0: any
 * col       columns used, kept up to date */
void	print_word(struct buf *, size_t width, size_t *col, const char *word, size_t len);
/* print_row - "name = value" in the form that the options ask for, blanks in the value made single
 * Passwords of the database in it are shown as ***, here and by print_text, which writes one finished text. */
void	print_row(const struct conf *, const char *name, const char *value);
void	print_text(const struct buf *);

/* what each part does; the result is an enum conf_status, everything wrong has been said */
int	show_main(const struct conf *, char **names, size_t n);
int	show_services(const struct conf *, char **requests, size_t n);
int	edit_main(const struct conf *, enum main_cf_edit_op, char **args, size_t n);
int	edit_services(const struct conf *, enum main_cf_edit_op, char **args, size_t n);
/* edit_argument - refuse what can never be an argument of an edit; splits "name=value" for MAIN_CF_SET
 * arg       changed in place; name_r and value_r point into it
 * returns   CONF_OK or CONF_USAGE (said) */
int	edit_argument(char *arg, enum main_cf_edit_op, const char **name_r, const char **value_r);
/* edit_trim - cut blanks at both ends, in place */
char   *edit_trim(char *);
/* edit_refused - test the value of one parameter in a configuration; true when it is bad (said) */
bool	edit_refused(const struct main_cf *, const char *name);

#endif
