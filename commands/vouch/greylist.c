/* commands/vouch/greylist.c - greylist list, show, forget, allow: the arguments, opening and closing */
#include "greys.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <global/greylist_secret.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <util/units.h>

#include "records.h"

const char *
greys_kind(char kind)
{
	switch (kind) {
	case 'T':
		return "triplet";
	case 'S':
		return "sender";
	case 'D':
		return "domain";
	case 'C':
		return "client";
	}
	return "?";
}

int
greys_failed(struct greys *g, const struct database_answer *a)
{
	vouch_sorry("%s: %s%s", database_where(g->db), a->why,
	    strcmp(a->sqlstate, "42P01") == 0 ? ": run \"vouch db upgrade\"" : "");
	return a->result == PG_REFUSED ? VOUCH_REFUSED : VOUCH_TEMPORARY;
}

/* opening */

/* greys_secret - the database's, or this host's */
static int
greys_secret(struct greys *g)
{
	static const char sql[] = "SELECT id, changed, origin, members, begun, seen, tries, passed, forgot FROM vouch_greylist"
	    " WHERE id = '" GREYLIST_DB_SECRET "'";
	unsigned char secret[GREYLIST_SECRET_LEN];
	struct database_answer a;
	struct greylist_record r;
	struct db_row row;
	const char *why, *path = g->params->greylist_secret_file;
	char   *dir;
	int	fd;

	if (g->db != NULL) {
		if (!database_ask(g->db, sql, NULL, &a))
			return greys_failed(g, &a);
		memset(&row, 0, sizeof row);
		if (a.rows == 1) {
			row.key = database_text(g->db, 0, 0);
			row.key_len = database_length(g->db, 0, 0);
			row.text = database_text(g->db, 0, 3);
			row.text_len = database_length(g->db, 0, 3);
			if (greylist_db_record(&row, &r) && r.kind == 'X')
				g->hash = greylist_hash_new(r.secret);
		}
		if (g->hash != NULL)
			return VOUCH_DONE;
	}
	dir = mem_strndup(path, (size_t) (strrchr(path, '/') - path) + 1);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mem_free(&dir);
	switch (greylist_secret_read(fd, strrchr(path, '/') + 1, secret, &why)) {
	case GREYLIST_SECRET_READ:
		g->hash = greylist_hash_new(secret);
		break;
	case GREYLIST_SECRET_BAD:
		vouch_sorry("greylist_secret_file: %s: %s%s", path, why, errno == EACCES ? ": run this as root or as the instance's owner" : "");
		sock_close(&fd);
		return VOUCH_TEMPORARY;
	case GREYLIST_SECRET_NONE:
		break;
	}
	sock_close(&fd);
	return VOUCH_DONE;
}

static int
greys_open_table(struct shmtab **tp, const char *dir, int fd, const char *name)
{
	const char *why;

	if (shmtab_open_read(tp, fd, name, &why) == 0 || errno == ENOENT)
		return VOUCH_DONE;
	vouch_sorry("%s/%s: %s (%s)", dir, name, why, strerror(errno));
	return VOUCH_TEMPORARY;
}

static int
greys_open_host(struct greys *g, bool change)
{
	const struct params *p = g->params;
	struct greylist_store_conf conf = { .rules = g->rules, .keys = g->keys, .bytes = p->greylist_cache_size, .secret_dirfd = -1 };
	struct buf why = BUF_INIT(4096);
	int	fd, ret = VOUCH_DONE;
	bool	there;

	if (change && !records_become(p->mail_owner))
		return VOUCH_TEMPORARY;
	if ((fd = open(p->data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		vouch_sorry("%s: %s%s", p->data_directory, strerror(errno),
		    errno == EACCES ? ": run this as root or as the instance's owner" : "");
		return VOUCH_TEMPORARY;
	}
	there = faccessat(fd, GREYLIST_KNOWN_FILE, F_OK, 0) == 0;
	if (!change) {
		ret = greys_open_table(&g->known, p->data_directory, fd, GREYLIST_KNOWN_FILE);
		if (ret == VOUCH_DONE)
			ret = greys_open_table(&g->pending, p->data_directory, fd, GREYLIST_PENDING_FILE);
	} else if (there) {			/* before the daemon has made them, there is nothing to change */
		greylist_store_open(&g->store, fd, &conf, &why);
		if (why.len > 0) {
			vouch_sorry_lines(buf_str(&why));
			ret = VOUCH_TEMPORARY;
		}
	}
	buf_fini(&why);
	sock_close(&fd);
	return ret;
}

int
greys_open(struct greys *g, const struct vouch *v, bool change)
{
	struct buf why = BUF_INIT(64 * 1024);
	int	ret = VOUCH_DONE;

	g->now_s = (int64_t) time(NULL);
	if ((g->params = params_load(v->cf, &why)) == NULL || greylist_rules_init(&g->rules, g->params, &why) < 0) {
		vouch_sorry_lines(buf_str(&why));
		buf_fini(&why);
		return VOUCH_REFUSED;
	}
	greylist_key_conf_init(&g->keys, g->params);
	g->wants_db = !g->opt.local && db_conf_is(g->params->greylist_map);
	/* the database first: its password file may be root's */
	if (g->wants_db && (g->db = database_open(g->params->greylist_map, &why)) == NULL) {
		vouch_sorry("%s", buf_str(&why));
		ret = VOUCH_TEMPORARY;
	}
	buf_fini(&why);
	if (ret == VOUCH_DONE)
		ret = greys_secret(g);
	return ret == VOUCH_DONE ? greys_open_host(g, change) : ret;
}

void
greys_close(struct greys *g)
{
	database_close(&g->db);
	shmtab_close(&g->known);
	shmtab_close(&g->pending);
	greylist_store_close(&g->store);
	greylist_hash_free(&g->hash);
	params_free(&g->params);
}

/* an envelope */

void
greys_envelope_init(struct greys *g, struct greys_envelope *e, const char *client, const char *sender, const char *recipient)
{
	const char *bracket = strchr(client, '[');
	struct buf *bufs[] = { &e->client, &e->net, &e->sender, &e->recipient };

	memset(e, 0, sizeof *e);
	for (size_t i = 0; i < NELEM(bufs); i++)
		buf_init(bufs[i], GREYLIST_ADDR_MAX + 1024);
	e->name = mem_strndup(client, bracket != NULL ? (size_t) (bracket - client) : 0);
	e->address = bracket != NULL ? mem_strndup(bracket + 1, strcspn(bracket + 1, "]")) : mem_strdup(client);
	if (client_addr_parse(&e->addr, e->address)) {
		greylist_net(&g->keys, &e->addr, &e->net);
		greylist_client(&g->keys, &e->addr, e->name, buf_str(&e->net), &e->client);
	} else {
		buf_adds(&e->client, client);
		buf_adds(&e->net, client);
	}
	greylist_sender(&g->keys, sender != NULL ? sender : "", recipient != NULL ? recipient : "", &e->sender);
	greylist_recipient(&g->keys, recipient != NULL ? recipient : "", &e->recipient);
	e->names = (struct greylist_names) {
		.client = buf_str(&e->client), .net = buf_str(&e->net), .sender = buf_str(&e->sender),
		.domain = greylist_sender_domain(&g->keys, buf_str(&e->sender)), .recipient = buf_str(&e->recipient),
	};
	if (g->hash != NULL)
		greylist_ids(g->hash, &e->names, &e->ids);
}

void
greys_envelope_fini(struct greys_envelope *e)
{
	buf_fini(&e->client);
	buf_fini(&e->net);
	buf_fini(&e->sender);
	buf_fini(&e->recipient);
	mem_free(&e->name);
	mem_free(&e->address);
}

/* the command */

int
vouch_greylist(struct vouch *v)
{
	static const struct option options[] = {
		{ "pending", no_argument, NULL, 'p' }, { "known", no_argument, NULL, 'k' },
		{ "client", required_argument, NULL, 'c' }, { "sender", required_argument, NULL, 's' },
		{ "recipient", required_argument, NULL, 'r' }, { "older", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' }, { "local", no_argument, NULL, 'l' }, { NULL, 0, NULL, 0 },
	};
	struct greys g = { .opt.older_s = -1 };
	struct greys_options *o = &g.opt;
	bool	selects, list, show, forget, allow;
	const char *what;
	int64_t ms;
	int	c, n, ret;

	opterr = 0;
	while ((c = getopt_long(v->argc, v->argv, "", options, NULL)) != -1)
		switch (c) {
		case 'p':
			o->pending = true;
			break;
		case 'k':
			o->known = true;
			break;
		case 'c':
			o->client = optarg;
			break;
		case 's':
			o->sender = optarg;
			break;
		case 'r':
			o->recipient = optarg;
			break;
		case 'o':
			if (!units_time_parse(optarg, 's', &ms))
				return vouch_usage(v, "--older wants a time such as 30d");
			o->older_s = ms / 1000;
			break;
		case 'j':
			o->json = true;
			break;
		case 'l':
			o->local = true;
			break;
		default:
			return vouch_usage(v, "unknown option, or one without its argument");
		}
	if (optind >= v->argc)
		return vouch_usage(v, "list, show, forget or allow?");
	what = v->argv[optind++];
	n = v->argc - optind;
	list = strcmp(what, "list") == 0;
	show = strcmp(what, "show") == 0;
	forget = strcmp(what, "forget") == 0;
	allow = strcmp(what, "allow") == 0;
	selects = o->pending || o->known || o->client != NULL || o->sender != NULL || o->recipient != NULL || o->older_s >= 0;
	if (!list && !show && !forget && !allow)
		return vouch_usage(v, "list, show, forget or allow?");
	if ((list || forget) && n > 0)
		return vouch_usage(v, "too many arguments: records are selected by options");
	if ((show || allow) && selects)
		return vouch_usage(v, "this option is for list and forget");
	if (o->pending && o->known)
		return vouch_usage(v, "--pending or --known, not both");
	if (forget && !selects)
		return vouch_usage(v, "forget what? Name at least one of --pending, --known, --client, --sender, --recipient, --older");
	if (show && n != 3)
		return vouch_usage(v, "show CLIENT SENDER RECIPIENT; the null sender is <>");
	if (allow && n != 1 && n != 2)
		return vouch_usage(v, "allow CLIENT, or allow CLIENT SENDER");
	if ((ret = greys_open(&g, v, forget || allow)) == VOUCH_DONE)
		ret = list ? greys_list(&g) : forget ? greys_forget(&g) : show ? greys_show(&g, v->argv + optind, n) :
		    greys_allow(&g, v->argv + optind, n);
	greys_close(&g);
	return ret;
}
