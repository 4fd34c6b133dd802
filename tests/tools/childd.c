/* tests/tools/childd.c - the scripted daemon as a program (tests/lib/childd.h) */
#include <tests/lib/childd.h>

int
main(int argc, char **argv)
{
	return childd_main(argc, argv);
}
