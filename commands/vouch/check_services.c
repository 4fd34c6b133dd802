/* commands/vouch/check_services.c - what master.cf names: programs that are there, sockets and ports that are free */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>
#include <global/inet_endpoint.h>
#include <global/master_former.h>

#include "check.h"

static void
check_program(struct check *c, const struct master_cf_entry *s)
{
	char   *path = mem_printf("%s/%s", c->params->daemon_directory, s->command);
	struct stat st;

	if (stat(path, &st) < 0)
		check_error(c, "%s/master.cf: line %u: service %s: program %s: %s: correct the line, or daemon_directory",
		    c->config_dir, s->line, s->name, path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		check_error(c, "%s/master.cf: line %u: service %s: program %s: not a program that may be run",
		    c->config_dir, s->line, s->name, path);
	free(path);
}

/* check_local - a socket or FIFO in private or public: a name that fits, no other file there, nobody answering */
static void
check_local(struct check *c, const struct master_cf_entry *s)
{
	char   *name = mem_printf("%s/%s", s->is_private ? "private" : "public", s->name);
	char   *path = mem_printf("%s/%s", c->params->queue_directory, name);
	struct sockaddr_un sun;
	struct stat st;
	bool	there = lstat(path, &st) == 0, stream = s->type == MASTER_UNIX || s->type == MASTER_PASS;
	int	fd;

	if (strlen(name) >= sizeof(sun.sun_path))
		check_error(c, "%s/master.cf: line %u: service %s: the name is too long for a socket (%zu bytes, %zu at "
		    "most): choose a shorter one", c->config_dir, s->line, s->name, strlen(name), sizeof(sun.sun_path) - 1);
	else if (there && !S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode))
		check_error(c, "%s/master.cf: line %u: service %s: %s is in the way: it is no socket: remove it",
		    c->config_dir, s->line, s->name, path);
	else if (there && stream && !c->running && chdir(c->params->queue_directory) == 0 &&
	    (fd = sock_unix_connect(name, true)) >= 0) {
		if (!master_former_made(fd, c->former))
			check_error(c, "%s/master.cf: line %u: service %s: socket %s is taken: some process answers there though no "
			    "master runs here: end it (ss -xlp names it), or use another queue_directory",
			    c->config_dir, s->line, s->name, path);
		sock_close(&fd);
	}
	free(path);
	free(name);
}

/* check_inet - an address and port that exist and, while no master of ours has them, are free */
static void
check_inet(struct check *c, const struct master_cf_entry *s)
{
	struct buf why = BUF_INIT(4096);
	struct inet_endpoint e;
	int	fd;

	if (inet_endpoint_find(s->name, c->params, &e, &why) < 0)
		check_error(c, "%s/master.cf: line %u: service %s: %s", c->config_dir, s->line, s->name, buf_str(&why));
	for (size_t i = 0; buf_str(&why)[0] == 0 && !c->running && i < e.hosts_n; i++) {
		while ((fd = sock_inet_listen(e.hosts[i], e.port, 1)) < 0 && errno == EADDRINUSE &&
		    master_former_wait(c->former, &c->former_end_ms))
			;
		if (fd < 0)
			check_error(c, "%s/master.cf: line %u: service %s: cannot listen on %s port %s: %s: %s", c->config_dir,
			    s->line, s->name, e.hosts[i], e.port, strerror(errno),
			    errno == EADDRINUSE ? "end the program that does (ss -tlp names it), or choose another port" :
			    errno == EACCES ? "ports below 1024 need root" : "choose another address");
		sock_close(&fd);
	}
	inet_endpoint_fini(&e);
	buf_fini(&why);
}

void
check_services(struct check *c)
{
	const struct master_cf_entry *s, *t;

	TAILQ_FOREACH(s, &c->services, link) {
		check_program(c, s);
		if (s->chroot && geteuid() != 0)
			check_error(c, "%s/master.cf: line %u: service %s: chroot needs root: write 'n' in the fifth field",
			    c->config_dir, s->line, s->name);
		if (s->type == MASTER_INET)
			check_inet(c, s);
		else
			check_local(c, s);
		for (t = TAILQ_NEXT(s, link); t != NULL; t = TAILQ_NEXT(t, link))
			if (t->type == s->type && t->is_private == s->is_private && strcmp(t->name, s->name) == 0)
				check_warn(c, "%s/master.cf: line %u: service %s: line %u replaces this entry: remove one",
				    c->config_dir, s->line, s->name, t->line);
	}
}
