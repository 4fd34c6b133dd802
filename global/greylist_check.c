/* global/greylist_check.c - what a value of a greylist_* parameter must look like */
#include "greylist_check.h"

#include <ctype.h>
#include <string.h>

#include <global/db_conf.h>
#include <global/dnswl_sites.h>
#include <util/mem.h>

/* greylist_check_word - whether value is one of the words, each followed by a blank */
static bool
greylist_check_word(const char *value, const char *words)
{
	size_t	n = strlen(value);

	for (const char *p = words; n > 0 && (p = strstr(p, value)) != NULL; p++)
		if (p[n] == ' ' && (p == words || p[-1] == ' ') && strchr(value, ' ') == NULL)
			return true;
	return false;
}

/* greylist_check_places - whether every % in value begins one of the placeholders, and nothing is a control character */
static bool
greylist_check_places(const char *value, const char *letters)
{
	for (const char *p = value; *p != 0; p++) {
		if ((unsigned char) *p < ' ' || *p == 127)
			return false;
		if (*p == '%' && (*++p == 0 || strchr(letters, *p) == NULL))
			return false;
	}
	return true;
}

const char *
greylist_check_action(const char *value)
{
	if (value[0] == '4' && isdigit((unsigned char) value[1]) && isdigit((unsigned char) value[2]) && value[3] == 0)
		return NULL;
	return greylist_check_word(value, "DEFER_IF_PERMIT DEFER ") ? NULL :
	    "use DEFER_IF_PERMIT, DEFER, or a reply code from 400 to 499 alone";
}

const char *
greylist_check_client_key(const char *value)
{
	return greylist_check_word(value, "auto net address ") ? NULL : "use auto, net or address";
}

const char *
greylist_check_dnswl(const char *value)
{
	struct buf why = BUF_INIT(1000);
	struct dnswl_sites *sites = dnswl_sites_parse(value, &why);
	bool	ok = sites != NULL;

	dnswl_sites_free(&sites);
	buf_fini(&why);
	return ok ? NULL : "use domain or domain=a.b.c.d, where each of a to d is a number, [n..m] or [n;m]; without weights";
}

const char *
greylist_check_fallback(const char *value)
{
	return greylist_check_word(value, "DUNNO greylist ") ? NULL : "use DUNNO or greylist";
}

const char *
greylist_check_header(const char *value)
{
	const char *p = value;

	if (*value == 0)
		return NULL;
	while (*p > ' ' && *p < 127 && *p != ':')
		p++;
	if (p == value || *p != ':' || memchr(value, '%', (size_t) (p - value)) != NULL)
		return "use \"Name: value\", or nothing for no header";
	return greylist_check_places(value, "thd%") ? NULL :
	    "use one line of text; placeholders are %t, %h, %d and %%";
}

const char *
greylist_check_map(const char *value)
{
	/* a map of Postfix's is in address_verify_map as a rule, which verify reports: it means no database here, too */
	return db_conf_is(value) || strncmp(value, "pgsql:", 6) != 0 ? NULL : "write pgsql: and a file, a URI or a connection string";
}

const char *
greylist_check_mode(const char *value)
{
	return greylist_check_word(value, "enforce observe off ") ? NULL : "use enforce, observe or off";
}

const char *
greylist_check_null_sender(const char *value)
{
	return greylist_check_word(value, "data rcpt never ") ? NULL : "use data, rcpt or never";
}

const char *
greylist_check_privacy(const char *value)
{
	return greylist_check_word(value, "clear hash ") ? NULL : "use clear or hash";
}

const char *
greylist_check_scope(const char *value)
{
	return greylist_check_word(value, "sender triplet ") ? NULL : "use sender or triplet";
}

const char *
greylist_check_secret(const char *value)
{
	return *value == '/' ? NULL : "use an absolute path";
}

const char *
greylist_check_sender_key(const char *value)
{
	return greylist_check_word(value, "normal domain address ") ? NULL : "use normal, domain or address";
}

const char *
greylist_check_text(const char *value)
{
	return greylist_check_places(value, "srh%") ? NULL :
	    "use one line of text; placeholders are %s, %r, %h and %%";
}
