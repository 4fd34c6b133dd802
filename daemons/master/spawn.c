/* daemons/master/spawn.c - start a process as the child contract says */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <global/master_proto.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define SPAWN_FIXED	(MASTER_LISTEN_FD - MASTER_FLOW_READ)	/* descriptors between the standard ones and the listeners */

int
spawn_init(struct spawn *sp, struct buf *why)
{
	sp->flow[0] = sp->flow[1] = sp->null = -1;
	if (pipe2(sp->flow, O_CLOEXEC | O_NONBLOCK) == 0 && (sp->null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0)
		return 0;
	buf_addf(why, "flow control pipe, /dev/null: %s", strerror(errno));
	spawn_fini(sp);
	return -1;
}

void
spawn_fini(struct spawn *sp)
{
	sock_close(&sp->flow[0]);
	sock_close(&sp->flow[1]);
	sock_close(&sp->null);
	spawn_free_vector(&sp->env);
}

/* vectors of strings */

struct spawn_vector {
	char  **v;			/* NULL-terminated */
	size_t	n;
};

static void
spawn_add(struct spawn_vector *l, char *take)
{
	l->v = mem_grow(l->v, l->n + 2, sizeof *l->v);
	l->v[l->n++] = take;
	l->v[l->n] = NULL;
}

void
spawn_free_vector(char ***vp)
{
	if (*vp == NULL)
		return;
	for (char **v = *vp; *v != NULL; v++)
		mem_free(v);
	mem_free(vp);
}

/* environment */

static const char *
spawn_env_get(char *const *environment, const char *name)
{
	size_t	len = strlen(name);

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

/* spawn_env_set - the value that replaces the one of our environment for this name
 * returns   false when ours counts */
static bool
spawn_env_set(const struct plan *p, const char *name, char **value_r)
{
	bool	postlog = p->params->maillog_file[0] != 0;

	*value_r = NULL;
	if (strcmp(name, "MAIL_CONFIG") == 0)
		*value_r = mem_strdup(p->config_dir);
	else if (strcmp(name, "MAIL_LOGTAG") == 0)
		*value_r = mem_strdup(p->params->syslog_name);
	else if (strcmp(name, "POSTLOG_SERVICE") == 0)
		*value_r = postlog ? mem_printf("%s/public/%s", p->params->queue_directory, p->params->postlog_service_name) : NULL;
	else if (strcmp(name, "POSTLOG_HOSTNAME") == 0)
		*value_r = postlog ? mem_strdup(p->params->myhostname) : NULL;
	else
		return false;
	return true;
}

/* spawn_env_word - one word of import_environment: NAME, or NAME=value */
static void
spawn_env_word(struct spawn_vector *l, const struct plan *p, char *const *environment, const char *word)
{
	const char *value;
	char   *ours;

	if (strchr(word, '=') != NULL)
		spawn_add(l, mem_strdup(word));
	else if (spawn_env_set(p, word, &ours)) {
		if (ours != NULL)
			spawn_add(l, mem_printf("%s=%s", word, ours));
		mem_free(&ours);
	} else if ((value = spawn_env_get(environment, word)) != NULL)
		spawn_add(l, mem_printf("%s=%s", word, value));
}

/* spawn_env_brace - "{ NAME = value }" -> NAME=value, in place */
static void
spawn_env_brace(char *word)
{
	char	*eq = strchr(word, '='), *name = word + strspn(word, " \t"), *value, *end;
	size_t	n;

	if (eq == NULL)
		return;
	for (end = eq; end > name && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	n = (size_t) (end - name);
	value = eq + 1 + strspn(eq + 1, " \t");
	for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*end = 0;
	memmove(word, name, n);
	word[n] = '=';
	memmove(word + n + 1, value, strlen(value) + 1);
}

void
spawn_env(struct spawn *sp, const struct plan *p, char *const *environment)
{
	static const char blank[] = ", \t\r\n";
	struct spawn_vector l = { NULL, 0 };
	char   *copy = mem_strdup(p->params->import_environment), *next;

	for (char *w = copy + strspn(copy, blank); *w != 0; w = next + strspn(next, blank)) {
		bool	brace = *w == '{';

		next = brace ? w + strcspn(w, "}") : w + strcspn(w, blank);
		if (*next != 0)
			*next++ = 0;
		if (brace)
			spawn_env_brace(++w);
		spawn_env_word(&l, p, environment, w);
	}
	mem_free(&copy);
	/* these two whatever the list says: without them our children would be somebody else's */
	if (l.v == NULL || spawn_env_get(l.v, "MAIL_CONFIG") == NULL)
		spawn_env_word(&l, p, environment, "MAIL_CONFIG");
	spawn_add(&l, mem_printf("%s=%" PRId64, MASTER_DRAIN_ENV, p->params->application_event_drain_time));
	if (p->kept.len > 0)
		spawn_add(&l, mem_printf("%s=%s", MASTER_KEPT_ENV, buf_str(&p->kept)));
	spawn_add(&l, mem_strdup("GENERATION="));
	spawn_free_vector(&sp->env);
	sp->env = l.v;
	sp->env_n = l.n;
}

/* arguments */

char  **
spawn_argv(const struct spawn *sp, const struct plan_service *s, size_t listeners, bool stress)
{
	const struct master_cf_entry *e = s->entry;
	const char *slash = strrchr(e->command, '/');
	struct spawn_vector l = { NULL, 0 };

	spawn_add(&l, mem_strdup(e->command));
	if (s->maxproc == 1)
		spawn_add(&l, mem_strdup("-l"));
	if (s->maxproc == 0)
		spawn_add(&l, mem_strdup("-z"));
	if (strcmp(slash != NULL ? slash + 1 : e->command, e->name) != 0) {
		spawn_add(&l, mem_strdup("-n"));
		spawn_add(&l, mem_strdup(e->name));
	}
	spawn_add(&l, mem_strdup("-t"));
	spawn_add(&l, mem_strdup(master_cf_type_name(e->type)));
	if (sp->debug)
		spawn_add(&l, mem_strdup("-d"));
	if (sp->verbose)
		spawn_add(&l, mem_strdup("-v"));
	if (e->unpriv)
		spawn_add(&l, mem_strdup("-u"));
	if (e->chroot)
		spawn_add(&l, mem_strdup("-c"));
	if (s->remote && s->maxproc > 1) {
		spawn_add(&l, mem_strdup("-o"));
		spawn_add(&l, mem_strdup(stress ? "stress=yes" : "stress="));
	}
	if (listeners > 1) {
		spawn_add(&l, mem_strdup("-s"));
		spawn_add(&l, mem_printf("%zu", listeners));
	}
	for (size_t i = 0; i < e->argc; i++)
		spawn_add(&l, mem_strdup(e->argv[i]));
	return l.v;
}

/* processes */

/* spawn_descriptors - put fds[i] into place MASTER_FLOW_READ + i; fds is used up
 * First all are copied above the places, so that none is overwritten before its turn. After the first dup2 nothing may be
 * logged: the log's descriptor may be gone, and what is there instead is a pipe or socket of the mail system. */
static int
spawn_descriptors(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, MASTER_FLOW_READ + (int) n)) < 0)
			msg_fatal("descriptors for a child: %s", strerror(errno));
	for (size_t i = 0; i < n; i++)
		if (dup2(fds[i], MASTER_FLOW_READ + (int) i) < 0)
			return -1;
	return 0;
}

static void __attribute__((noreturn))
spawn_exec(const struct spawn *sp, const char *path, char **argv, int *fds, size_t n)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			sigaction(sig, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	if (access(path, X_OK) < 0)
		msg_fatal("cannot execute %s: %s", path, strerror(errno));
	if (!sp->debug && (dup2(sp->null, STDIN_FILENO) < 0 || (!sp->keep_stdout && dup2(sp->null, STDOUT_FILENO) < 0) ||
	    dup2(sp->null, STDERR_FILENO) < 0))
		_exit(SPAWN_NO_EXEC);
	if (spawn_descriptors(fds, n) == 0)
		execve(path, argv, sp->env);
	_exit(SPAWN_NO_EXEC);
}

pid_t
spawn_child(struct spawn *sp, const char *path, char **argv, int status_fd, const int *listen_fds, size_t listeners,
    uint32_t *generation_r)
{
	int    *fds = mem_array(SPAWN_FIXED + listeners, sizeof *fds);
	pid_t	pid;
	int	saved;

	fds[0] = sp->flow[0];
	fds[1] = sp->flow[1];
	fds[2] = status_fd;
	memcpy(fds + SPAWN_FIXED, listen_fds, listeners * sizeof *fds);
	mem_free(&sp->env[sp->env_n - 1]);
	sp->env[sp->env_n - 1] = mem_printf("GENERATION=%" PRIo32, sp->forks + 1);
	if ((pid = fork()) == 0)
		spawn_exec(sp, path, argv, fds, SPAWN_FIXED + listeners);
	saved = errno;
	if (pid > 0)
		*generation_r = ++sp->forks;
	mem_free(&fds);
	errno = saved;
	return pid;
}
