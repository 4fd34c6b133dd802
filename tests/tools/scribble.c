/* tests/tools/scribble.c - damage a file in place
 *
 *   scribble FILE TIMES [SEED [PAUSE_US]]
 *
 * Writes TIMES random bytes, each at a random place, one by one. Same seed, same damage (SEED 0: from the clock). Prints
 * the seed.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct stat st;
	uint64_t r;
	int	fd, pause_us = argc > 4 ? atoi(argv[4]) : 0;

	if (argc < 3 || argc > 5) {
		fprintf(stderr, "usage: scribble FILE TIMES [SEED [PAUSE_US]]\n");
		return 2;
	}
	if ((fd = open(argv[1], O_RDWR | O_CLOEXEC)) < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		err(1, "%s", argv[1]);
	r = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	if (r == 0)
		r = (uint64_t) time(NULL);
	printf("seed=%llu\n", (unsigned long long) r);
	fflush(stdout);
	for (long n = atol(argv[2]); n > 0; n--) {
		uint8_t byte;

		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		byte = (uint8_t) (r >> 56);
		if (pwrite(fd, &byte, 1, (off_t) (r % (uint64_t) st.st_size)) != 1)
			err(1, "%s", argv[1]);
		if (pause_us > 0)
			usleep((useconds_t) pause_us);
	}
	close(fd);
	return 0;
}
