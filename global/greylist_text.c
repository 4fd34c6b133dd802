/* global/greylist_text.c - what people are to see of greylisting records */
#include "greylist_text.h"

#include <string.h>
#include <bsd/sys/queue.h>

#include <global/greylist_key.h>
#include <util/mem.h>

struct greylist_text {
	SLIST_ENTRY(greylist_text) link;	/* in its bucket */
	char	id[GREYLIST_ID_LEN];
	bool	owed;				/* to the database */
	char   *text;				/* NULL: unused */
};
SLIST_HEAD(greylist_bucket, greylist_text);

struct greylist_texts {
	size_t	max, next;			/* next: the oldest one, to be replaced */
	struct greylist_text *entry;		/* a ring */
	struct greylist_bucket *bucket;		/* as many */
};

static struct greylist_bucket *
greylist_texts_bucket(const struct greylist_texts *t, const char *id)
{
	uint32_t n;

	memcpy(&n, id + 1, sizeof n);		/* the hash is keyed: strangers do not choose it */
	return &t->bucket[n % t->max];
}

static struct greylist_text *
greylist_texts_find(const struct greylist_texts *t, const char *id)
{
	struct greylist_text *e;

	SLIST_FOREACH(e, greylist_texts_bucket(t, id), link)
		if (memcmp(e->id, id, GREYLIST_ID_LEN) == 0)
			return e;
	return NULL;
}

void
greylist_texts_put(struct greylist_texts *t, const char *id, const char *text)
{
	struct greylist_text *e = greylist_texts_find(t, id);

	if (e == NULL) {
		e = &t->entry[t->next];
		t->next = (t->next + 1) % t->max;
		if (e->text != NULL)
			SLIST_REMOVE(greylist_texts_bucket(t, e->id), e, greylist_text, link);
		memcpy(e->id, id, GREYLIST_ID_LEN);
		SLIST_INSERT_HEAD(greylist_texts_bucket(t, id), e, link);
	}
	mem_free(&e->text);
	e->text = mem_strdup(text);
	e->owed = true;
}

const char *
greylist_texts_get(const struct greylist_texts *t, const char *id)
{
	const struct greylist_text *e = greylist_texts_find(t, id);

	return e != NULL ? e->text : NULL;
}

void
greylist_texts_written(struct greylist_texts *t, const char *id)
{
	struct greylist_text *e = greylist_texts_find(t, id);

	if (e != NULL)
		e->owed = false;
}

void
greylist_texts_each(struct greylist_texts *t, greylist_text_fn *fn, void *ctx)
{
	for (size_t i = 0; i < t->max; i++) {
		struct greylist_text *e = &t->entry[(t->next + i) % t->max];

		if (e->text != NULL)
			fn(ctx, e->id, e->owed);
	}
}

struct greylist_texts *
greylist_texts_new(size_t max)
{
	struct greylist_texts *t = mem_alloc(sizeof *t);

	t->max = max;
	t->entry = mem_array(max, sizeof t->entry[0]);
	t->bucket = mem_array(max, sizeof t->bucket[0]);
	return t;
}

void
greylist_texts_free(struct greylist_texts **tp)
{
	if (*tp == NULL)
		return;
	for (size_t i = 0; i < (*tp)->max; i++)
		mem_free(&(*tp)->entry[i].text);
	mem_free(&(*tp)->entry);
	mem_free(&(*tp)->bucket);
	mem_free(tp);
}
