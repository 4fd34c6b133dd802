/* commands/vouch/progress.c - a progress bar on standard error */

#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static bool progress_shown;

void
progress(const char *what, uint64_t n, uint64_t done, uint64_t total)
{
	static int64_t last_ms;
	static const char bar[] = "########################################";
	struct timespec ts;
	int64_t now_ms;
	int	share;

	if (!isatty(STDERR_FILENO))
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now_ms = (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	if (progress_shown && now_ms - last_ms < 100 && done != total)
		return;
	last_ms = now_ms;
	progress_shown = true;
	if (total == 0) {
		fprintf(stderr, "\r%s: %llu ", what, (unsigned long long) n);
		return;
	}
	share = (int) (done >= total ? 100 : done * 100 / total);
	fprintf(stderr, "\r%s: [%-40.*s] %3d %% %llu ", what, share * 40 / 100, bar, share, (unsigned long long) n);
}

void
progress_end(void)
{
	if (progress_shown)
		fputs("\n", stderr);
	progress_shown = false;
}
