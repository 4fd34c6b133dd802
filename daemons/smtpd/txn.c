/* daemons/smtpd/txn.c - a mail transaction and its addresses: made and taken apart */
#include <stdio.h>
#include <unistd.h>

#include <util/mem.h>

#include "smtpd.h"

struct vh_txn *
txn_new(struct vh_conn *conn)
{
	struct vh_txn *t = mem_alloc(sizeof *t);

	t->conn = conn;
	snprintf(t->id, sizeof t->id, "%s.%u", conn->id, ++conn->txns);
	body_init(&t->body, smtpd.spool_fd, (size_t) smtpd.conf.body_memory);
	buf_init(&t->added, 2 * smtpd.conf.header_limit);
	buf_init(&t->head, smtpd.conf.header_limit);
	t->start_ms = ev_now_ms(smtpd.loop);
	return t;
}

void
txn_free(struct vh_txn **tp)
{
	struct vh_txn *t = *tp;

	if (t == NULL)
		return;
	notes_fini(&t->notes);
	addr_free(&t->sender);
	for (size_t i = 0; i < t->rcpts; i++)
		addr_free(&t->rcpt[i]);
	mem_free(&t->rcpt);
	mem_free(&t->params);
	body_fini(&t->body);
	buf_fini(&t->added);
	buf_fini(&t->head);
	for (size_t i = 0; i < t->files_n; i++)
		close(t->files[i]);
	mem_free(&t->files);
	mem_free(tp);
}

struct vh_addr *
addr_new(const struct smtp_path *path, const char *raw, size_t n)
{
	struct vh_addr *a = mem_alloc(sizeof *a);
	struct buf text = BUF_INIT(4096);

	a->path = *path;
	a->raw = mem_strndup(raw, n);
	smtp_path_show(&text, path->user, path->host);
	a->text = mem_strdup(buf_str(&text));
	buf_fini(&text);
	return a;
}

void
addr_free(struct vh_addr **ap)
{
	if (*ap == NULL)
		return;
	notes_fini(&(*ap)->notes);
	mem_free(&(*ap)->text);
	mem_free(&(*ap)->raw);
	mem_free(ap);
}
