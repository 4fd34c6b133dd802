/* commands/vouch/list.c - list and export: what is known, for people and for programs */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <util/csv.h>
#include <util/json_out.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#include "records.h"

struct list {
	const struct records *records;
	int	 status;		/* -1: any */
	bool	 json, csv;
	uint64_t n;
};

static bool
list_one(void *ctx, const struct record *r)
{
	struct list *l = ctx;
	struct buf out = BUF_INIT(256 * 1024);
	char	age[32], addr[400], text[400];
	int64_t when = r->updated_s != 0 ? r->updated_s : r->probed_s;

	if ((l->status >= 0 && (int) r->status != l->status) || r->addr[0] == '@' || when == 0)
		return true;			/* what was forgotten is no record */
	l->n++;
	if (l->csv) {
		csv_put(&out, r->addr);
		buf_addf(&out, ",%s,%lld,%lld,", record_word(r->status), (long long) r->probed_s, (long long) r->updated_s);
		csv_put(&out, r->text);
		puts(buf_str(&out));
	} else if (l->json) {
		json_open(&out, NULL, '{');
		json_put_str(&out, "address", r->addr);
		json_put_str(&out, "status", record_word(r->status));
		json_put_int(&out, "probed", r->probed_s);
		json_put_int(&out, "updated", r->updated_s);
		json_put_str(&out, "text", r->text);
		json_close(&out, '}');
		puts(buf_str(&out));
	} else {
		units_time_print(age, when < l->records->now_s ? (l->records->now_s - when) * 1000 : 0);
		printf("%-6s %10s  %s  %s%s\n", record_word(r->status), age, msg_clean(addr, sizeof addr, r->addr),
		    msg_clean(text, sizeof text, r->text), r->dirty ? "  (waits for the database)" : "");
	}
	buf_fini(&out);
	return !ferror(stdout);
}

static int
list_run(struct vouch *v, bool csv)
{
	static const struct option options[] = {
		{ "local", no_argument, NULL, 'l' }, { "json", no_argument, NULL, 'j' },
		{ "status", required_argument, NULL, 's' }, { NULL, 0, NULL, 0 },
	};
	struct records r;
	struct list l = { .records = &r, .status = -1, .csv = csv };
	enum verify_status status;
	bool	local = false;
	int	o, ret;

	while ((o = getopt_long(v->argc, v->argv, "", options, NULL)) != -1)
		switch (o) {
		case 'l':
			local = true;
			break;
		case 'j':
			l.json = true;
			break;
		case 's':
			if (!record_status(optarg, &status))
				return vouch_usage(v, "the status is ok, defer, bounce or todo");
			l.status = (int) status;
			break;
		default:
			return vouch_usage(v, "unknown option, or one without its argument");
		}
	if (v->argc - optind > 1)
		return vouch_usage(v, "too many arguments");
	if ((ret = records_open(&r, v, local ? RECORDS_LOOK : RECORDS_DB | RECORDS_LOOK)) == VOUCH_DONE) {
		if (csv)
			puts("address,status,probed,updated,text");
		ret = records_each(&r, v->argv[optind], local, list_one, &l);
		if (fflush(stdout) != 0 || ferror(stdout)) {
			vouch_sorry("cannot write");
			ret = VOUCH_TEMPORARY;
		}
	}
	records_close(&r);
	return ret;
}

int
vouch_list(struct vouch *v)
{
	return list_run(v, false);
}

int
vouch_export(struct vouch *v)
{
	return list_run(v, true);
}
