/* global/probe_message.c - reads what a client of the cleanup service submits */
#include "probe_message.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <global/record.h>
#include <util/mem.h>

void
probe_message_init(struct probe_message *m)
{
	memset(m, 0, sizeof *m);
	attr_in_init(&m->list, 1024, 8192);
	buf_init(&m->part, PROBE_RECORD_MAX + 8);
}

void
probe_message_fini(struct probe_message *m)
{
	attr_in_fini(&m->list);
	buf_fini(&m->part);
	mem_free(&m->sender);
	mem_free(&m->reason);
	for (unsigned i = 0; i < m->rcpts; i++)
		mem_free(&m->rcpt[i]);
	m->rcpts = 0;
}

static void
probe_message_bad(struct probe_message *m, unsigned status, const char *why)
{
	if (m->status == 0)
		m->why = why;
	m->status |= status;
}

static void
probe_message_flags(struct probe_message *m)
{
	struct attr_reader r;

	attr_reader_init(&r, m->list.list.data, m->list.list.len, false);
	m->flags = attr_uint(&r, "flags");
	if (r.error != ATTR_OK || attr_end(&r) != NULL)
		probe_message_bad(m, CLEANUP_STAT_BAD, "expected attribute: flags");
}

/* probe_message_text - a record's data as a string; NULL when there is a NUL in it */
static char *
probe_message_text(const struct record *rec)
{
	return memchr(rec->data, 0, rec->len) != NULL ? NULL : mem_strndup(rec->data, rec->len);
}

/* probe_message_controls - what would end a command line, and begin one of the submitter's own. (Recipients are looked at when
 * they are routed, and get a verdict.) */
static bool
probe_message_controls(const char *s)
{
	for (; *s != 0; s++)
		if ((unsigned char) *s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* probe_message_attr - "name=value" of the envelope; the first trace_flags wins */
static void
probe_message_attr(struct probe_message *m, const struct record *rec)
{
	char   *text = probe_message_text(rec), *value;
	uint64_t n = 0;

	if (text == NULL || (value = strchr(text, '=')) == NULL)
		probe_message_bad(m, CLEANUP_STAT_BAD, "malformed attribute record");
	else {
		*value++ = 0;
		if (strcmp(text, "trace_flags") == 0 && m->trace_flags == 0) {
			for (const char *p = value; isdigit((unsigned char) *p) && n <= UINT32_MAX; p++)
				n = n * 10 + (unsigned) (*p - '0');
			if (*value == 0 || value[strspn(value, "0123456789")] != 0 || n > UINT32_MAX)
				probe_message_bad(m, CLEANUP_STAT_BAD, "bad trace_flags");
			m->trace_flags = (uint32_t) n;
		} else if (strcmp(text, "vouch_reason") == 0 && m->reason == NULL)
			m->reason = mem_strdup(value);
	}
	mem_free(&text);
}

static void
probe_message_envelope(struct probe_message *m, const struct record *rec)
{
	char   *text;

	switch (rec->type) {
	case REC_TYPE_TIME:
		if (rec->len == 0)
			probe_message_bad(m, CLEANUP_STAT_BAD, "empty time record");
		m->has_time = true;
		return;
	case REC_TYPE_ATTR:
		probe_message_attr(m, rec);
		return;
	case REC_TYPE_FROM:
		if ((text = probe_message_text(rec)) == NULL || m->sender != NULL || probe_message_controls(text)) {
			probe_message_bad(m, CLEANUP_STAT_BAD, "bad sender record");
			mem_free(&text);
		} else
			m->sender = text;
		return;
	case REC_TYPE_RCPT:
		if ((text = probe_message_text(rec)) == NULL || m->rcpts == PROBE_RCPT_MAX) {
			probe_message_bad(m, CLEANUP_STAT_BAD, "bad recipient record, or too many");
			mem_free(&text);
		} else
			m->rcpt[m->rcpts++] = text;
		return;
	case REC_TYPE_ORCP:
	case REC_TYPE_DONE:
		return;				/* what other clients say about recipients */
	case REC_TYPE_MESG:
		m->segment = PROBE_PART_CONTENT;
		return;
	case REC_TYPE_END:
		m->segment = PROBE_PART_END;
		probe_message_bad(m, CLEANUP_STAT_BAD, "message without content");
		return;
	}
	probe_message_bad(m, CLEANUP_STAT_BAD, "unexpected record type in the envelope");
}

static void
probe_message_content(struct probe_message *m, const struct record *rec)
{
	static const char received[] = "Received:";

	switch (rec->type) {
	case REC_TYPE_NORM:
	case REC_TYPE_CONT:
		if (rec->len >= sizeof received - 1 && strncasecmp(rec->data, received, sizeof received - 1) == 0)
			m->has_received = true;
		return;
	case REC_TYPE_XTRA:
		m->segment = PROBE_PART_EXTRA;
		return;
	case REC_TYPE_END:
		m->segment = PROBE_PART_END;
		break;
	}
	probe_message_bad(m, CLEANUP_STAT_BAD, "unexpected record type in the content");
}

/* probe_message_end - the whole message was read: is it what we take? */
static void
probe_message_end(struct probe_message *m)
{
	if (m->status == 0 && !m->has_time)
		probe_message_bad(m, CLEANUP_STAT_BAD, "missing time record");
	if (m->status == 0 && m->sender == NULL)
		probe_message_bad(m, CLEANUP_STAT_BAD, "missing sender record");
	if (m->status == 0 && !m->has_received)
		probe_message_bad(m, CLEANUP_STAT_BAD, "no Received: header");
	if (m->status == 0 && m->rcpts == 0)
		probe_message_bad(m, CLEANUP_STAT_RCPT, "no recipients");
	if (m->status == 0 && (m->trace_flags & PROBE_TRACE_FLAG) == 0)
		probe_message_bad(m, CLEANUP_STAT_NOPERM, "not an address verification probe");
}

static void
probe_message_record(struct probe_message *m, const struct record *rec)
{
	switch (m->segment) {
	case PROBE_PART_FLAGS:
	case PROBE_PART_ENVELOPE:
		probe_message_envelope(m, rec);
		break;
	case PROBE_PART_CONTENT:
		probe_message_content(m, rec);
		break;
	case PROBE_PART_EXTRA:
		if (rec->type == REC_TYPE_END)
			m->segment = PROBE_PART_END;
		else if (rec->type == REC_TYPE_RCPT || rec->type == REC_TYPE_ATTR)
			probe_message_envelope(m, rec);
		else
			probe_message_bad(m, CLEANUP_STAT_BAD, "unexpected record type after the content");
		break;
	case PROBE_PART_END:
		break;
	}
	if (m->segment == PROBE_PART_END)
		probe_message_end(m);
}

/* probe_message_records - as far as there are whole ones in p; *used_r: what they take */
static enum probe_message_result
probe_message_records(struct probe_message *m, const char *p, size_t n, size_t *used_r)
{
	struct record rec;
	size_t	used, at = 0;

	while (at < n) {
		switch (record_get(p + at, n - at, PROBE_RECORD_MAX, &rec, &used)) {
		case RECORD_MORE:
			*used_r = at;
			return PROBE_MESSAGE_MORE;
		case RECORD_BAD:
			probe_message_bad(m, CLEANUP_STAT_BAD, "malformed record");
			*used_r = at;
			return PROBE_MESSAGE_LOST;
		case RECORD_OK:
			break;
		}
		at += used;
		probe_message_record(m, &rec);
		if (m->segment == PROBE_PART_END) {
			*used_r = at;
			return PROBE_MESSAGE_DONE;
		}
	}
	*used_r = at;
	return PROBE_MESSAGE_MORE;
}

enum probe_message_result
probe_message_feed(struct probe_message *m, const char *data, size_t n, size_t *used_r)
{
	enum probe_message_result result;
	size_t	used = 0, had = m->part.len, at = 0, piece;

	*used_r = n;
	m->bytes += n;
	if (m->segment == PROBE_PART_FLAGS) {
		switch (attr_in_feed(&m->list, data, n, &at)) {
		case ATTR_IN_MORE:
			return PROBE_MESSAGE_MORE;
		case ATTR_IN_FULL:
			probe_message_bad(m, CLEANUP_STAT_BAD, "attribute list too long");
			return PROBE_MESSAGE_LOST;
		case ATTR_IN_DONE:
			probe_message_flags(m);
			attr_in_fini(&m->list);
			m->segment = PROBE_PART_ENVELOPE;
			break;
		}
	}
	if (m->bytes > PROBE_MESSAGE_BYTES_MAX) {
		probe_message_bad(m, CLEANUP_STAT_SIZE, "message too big");
		return PROBE_MESSAGE_LOST;
	}
	/* finish the record of which the beginning is here; the buffer takes a whole record at most */
	while (m->part.len > 0 && at < n) {
		piece = m->part.max - m->part.len < n - at ? m->part.max - m->part.len : n - at;
		had = m->part.len;
		buf_add(&m->part, data + at, piece);
		result = probe_message_records(m, m->part.data, m->part.len, &used);
		if (result == PROBE_MESSAGE_LOST)
			return result;
		if (used == 0) {
			at += piece;			/* still not whole */
			continue;
		}
		at += used - had;			/* a record ended: what is behind it is read from the input again */
		buf_shrink(&m->part, 1024);
		if (result == PROBE_MESSAGE_DONE) {
			*used_r = at;
			return result;
		}
	}
	result = probe_message_records(m, data + at, n - at, &used);
	if (result == PROBE_MESSAGE_DONE)
		*used_r = at + used;
	else if (result == PROBE_MESSAGE_MORE && at + used < n)
		buf_add(&m->part, data + at + used, n - at - used);
	return result;
}
