/* tests/lib/childd.h - a daemon that obeys the child contract and does what its clients tell it
 * Words in its arguments: exit=N (leave at once), noterm (ignore SIGTERM), linger (ignore end of file on descriptor 5),
 * report (status messages around each request), count=FILE (add "pid generation" to FILE at the start).
 * A client of a stream service sends lines; each gets a reply that ends with a line ".". What is no line but a trigger, or
 * comes through a datagram socket or a FIFO, is added to the file "trigger", in hexadecimal, with the service's name.
 * Requests: pid generation argv env cwd umask limit ids signals fds (as they were at the start), echo TEXT, exit N, kill N,
 * taken, avail, status PID GENERATION VALUE, raw HEX (bytes for descriptor 5).
 */
#ifndef TESTS_CHILDD_H
#define TESTS_CHILDD_H

/* childd_main - the whole daemon; for programs that are executed under the name "childd" */
int	childd_main(int argc, char **argv);

#endif
