/* daemons/smtpd/notes.c - what plugins note about a connection, a transaction or an address
 * A handful for each: a list is as quick as anything, and costs nothing while it is empty.
 */
#include <string.h>

#include <util/mem.h>

#include "smtpd.h"

enum note_kind { NOTE_INT, NOTE_STR, NOTE_PTR };

struct note {
	struct note *next;
	enum note_kind kind;
	int64_t	number;
	char   *string;
	void   *pointer;
	void  (*destroy)(void *);
	char	name[];
};

static void
note_empty(struct note *n)
{
	void   *pointer = n->pointer;

	mem_free(&n->string);
	n->pointer = NULL;
	if (n->kind == NOTE_PTR && n->destroy != NULL && pointer != NULL)
		n->destroy(pointer);
}

static struct note *
note_find(const struct vh_notes *notes, const char *name)
{
	struct note *n = notes->first;

	while (n != NULL && strcmp(n->name, name) != 0)
		n = n->next;
	return n;
}

/* note_put - the note of this name, empty */
static struct note *
note_put(struct vh_notes *notes, const char *name, enum note_kind kind)
{
	struct note *n = note_find(notes, name);
	size_t	size = strlen(name) + 1;

	if (n == NULL) {
		n = mem_alloc(sizeof *n + size);
		memcpy(n->name, name, size);
		n->next = notes->first;
		notes->first = n;
	} else
		note_empty(n);
	n->kind = kind;
	return n;
}

void
notes_fini(struct vh_notes *notes)
{
	struct note *n;

	while ((n = notes->first) != NULL) {
		notes->first = n->next;
		note_empty(n);
		mem_free(&n);
	}
}

int64_t
vh_note_int(const struct vh_notes *notes, const char *name, int64_t otherwise)
{
	const struct note *n = note_find(notes, name);

	return n != NULL && n->kind == NOTE_INT ? n->number : otherwise;
}

const char *
vh_note_str(const struct vh_notes *notes, const char *name)
{
	const struct note *n = note_find(notes, name);

	return n != NULL && n->kind == NOTE_STR ? n->string : NULL;
}

void *
vh_note_ptr(const struct vh_notes *notes, const char *name)
{
	const struct note *n = note_find(notes, name);

	return n != NULL && n->kind == NOTE_PTR ? n->pointer : NULL;
}

bool
vh_note_has(const struct vh_notes *notes, const char *name)
{
	return note_find(notes, name) != NULL;
}

void
vh_note_set_int(struct vh_notes *notes, const char *name, int64_t number)
{
	note_put(notes, name, NOTE_INT)->number = number;
}

void
vh_note_set_str(struct vh_notes *notes, const char *name, const char *string)
{
	char   *copy = mem_strdup(string);	/* first: it may be the note's own */

	note_put(notes, name, NOTE_STR)->string = copy;
}

void
vh_note_set_ptr(struct vh_notes *notes, const char *name, void *pointer, void (*destroy)(void *))
{
	struct note *n = note_put(notes, name, NOTE_PTR);

	n->pointer = pointer;
	n->destroy = destroy;
}

void
vh_note_clear(struct vh_notes *notes, const char *name)
{
	struct note **np = &notes->first, *n;

	while (*np != NULL && strcmp((*np)->name, name) != 0)
		np = &(*np)->next;
	if ((n = *np) == NULL)
		return;
	*np = n->next;
	note_empty(n);
	mem_free(&n);
}
