/* tests/tools/stillness.c - how long the machine itself stood still
 * On each processor a thread that goes before all ordinary processes (SCHED_FIFO) wants to run every millisecond. How late it
 * ran is what the kernel, or the host of a virtual machine, kept from everybody there: no server can be faster.
 * Until SIGTERM, or the end of who started it; then prints late_us= the longest. Needs the right to be such a process: exit 77 without.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <util/mem.h>

#define STILL_NS	1000000

static uint64_t *still_late;		/* the longest of each processor, ns */

static void *
still_watch(void *arg)
{
	const size_t cpu = (size_t) arg;
	struct timespec due, now;
	int64_t	late;

	for (clock_gettime(CLOCK_MONOTONIC, &due);; due = now) {
		due.tv_nsec += STILL_NS;
		if (due.tv_nsec >= 1000000000) {
			due.tv_sec++;
			due.tv_nsec -= 1000000000;
		}
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
			;
		clock_gettime(CLOCK_MONOTONIC, &now);
		late = (int64_t) (now.tv_sec - due.tv_sec) * 1000000000 + (now.tv_nsec - due.tv_nsec);
		if (late > (int64_t) __atomic_load_n(&still_late[cpu], __ATOMIC_RELAXED))
			__atomic_store_n(&still_late[cpu], (uint64_t) late, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void
still_start(size_t cpu)
{
	const struct sched_param first = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t t;
	cpu_set_t set;
	int	error;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &first);
	pthread_attr_setaffinity_np(&attr, sizeof set, &set);
	if ((error = pthread_create(&t, &attr, still_watch, (void *) cpu)) != 0)
		errx(77, "a thread that goes before all others: %s", strerror(error));
	pthread_attr_destroy(&attr);
}

int
main(void)
{
	uint64_t longest = 0;
	cpu_set_t mine;
	sigset_t end;
	int	signo;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || sched_getaffinity(0, sizeof mine, &mine) < 0)
		err(77, "mlockall");
	still_late = mem_array(CPU_SETSIZE, sizeof *still_late);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &mine))
			still_start(cpu);
	sigwait(&end, &signo);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (__atomic_load_n(&still_late[cpu], __ATOMIC_RELAXED) > longest)
			longest = __atomic_load_n(&still_late[cpu], __ATOMIC_RELAXED);
	printf("late_us=%.1f\n", (double) longest / 1000);
	return 0;
}
