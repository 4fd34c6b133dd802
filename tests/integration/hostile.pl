#!/usr/bin/perl
# hostile.pl - clients that do what no client should, at random, several at a time
#   hostile.pl HOST PORT SESSIONS MESSAGES SEED
# Commands out of order, in one piece or cut anywhere, bytes of all kinds, half-closed and reset connections at any point, in the
# middle of messages and of hand-overs, replies that are never read. Some sessions send a good message in between: its number
# (header X-Number) and the reply to it are printed. Ends after MESSAGES sessions.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Select;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);

my ($host, $port, $sessions, $messages, $seed) = @ARGV;
$SIG{PIPE} = 'IGNORE';
$| = 1;

sub pick { $_[int rand @_] }

sub bytes { join '', map { chr int rand 256 } 1 .. int rand $_[0] }

sub address {
	pick('<ann@a.test>', '<bob@next.test>', '<>', '<"a\\"b>c"@d.test>', '<@r.test:x@y.test>', '<' . 'a' x int(rand 600) . '@b.test>',
	    '<nobody@d.test>', '<later@d.test>', '<x@[127.0.0.1]>', '<postmaster>', "<x\0y\@z>", '<x@y', '<double-bounce@mx.test>',
	    'x@y.test', "<\xc3\xa9\@x.test>", '<' . bytes(40) . '>', '<#@[]>');
}

sub message {
	my ($n) = @_;
	return join '', map { pick("line $_\r\n", "..dot\r\n", "\r\n", ".\r", ".\n", "\xff\xfe\0\r\n", 'x' x int(rand 3000) . "\r\n",
	    "Received: x\r\n", ' ' x int(rand 100) . "\r\n") } 1 .. int rand $n;
}

sub command {
	pick("EHLO c.test\r\n", "HELO c.test\r\n", "EHLO " . bytes(30) . "\r\n", 'MAIL FROM:' . address() . "\r\n",
	    'MAIL FROM:' . address() . " SIZE=" . pick(0, 99999999999999999999, -1, '1e9') . " BODY=8BITMIME\r\n",
	    'RCPT TO:' . address() . "\r\n", "RCPT TO:<bob\@next.test>\r\n", "DATA\r\n", "RSET\r\n", "NOOP\r\n", "VRFY x\r\n", "HELP\r\n",
	    "STARTTLS\r\n", "BDAT 10\r\n", "QUIT\r\n", "AUTH PLAIN\r\n", bytes(100), "\n", "\r\n", 'X' x int(rand 5000) . "\r\n", ".\r\n",
	    "MAIL FROM:<a\@b.test>\r\nRCPT TO:<bob\@next.test>\r\nDATA\r\n", "MAIL FROM:<a\@b.test>\r\nRCPT TO:<bob\@next.test>\r\n",
	    "DATA\r\n" . message(20) . ".\r\n", message(50), "MAIL FROM:<a\@b.test> SMTPUTF8\r\n");
}

my $heard = '';
sub reply {
	my ($s) = @_;
	while (1) {
		while ($heard =~ s/\A(.*?\n)//) {
			my $line = $1;
			return $line if $line =~ /^\d\d\d( |\r)/;
		}
		IO::Select->new($s)->can_read(20) or return;
		sysread $s, $heard, 4096, length $heard or return;
	}
}

sub connect_to {
	my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 20) or return;
	binmode $s;
	$s->autoflush(1);
	return $s;
}

sub good {
	my ($number) = @_;
	my $s = connect_to() or return 'no connection';
	$heard = '';
	my $r = reply($s) // return 'lost';
	for ("EHLO c.test", "MAIL FROM:<ann\@a.test>", "RCPT TO:<bob\@next.test>", "DATA") {
		print $s "$_\r\n";
		$r = reply($s) // return 'lost';
		return $r if $r !~ /^[23]/;
	}
	print $s "X-Number: $number\r\n\r\n", 'x' x 70, "\r\n" x (1 + rand 3000), ".\r\n";
	return reply($s) // 'lost';
}

sub bad {
	my $s = connect_to() or return;
	my $text = pick('', "EHLO c.test\r\n", "EHLO c.test\r\nMAIL FROM:<a\@b.test>\r\nRCPT TO:<bob\@next.test>\r\n");
	setsockopt $s, SOL_SOCKET, SO_RCVBUF, 2000 if rand() < 0.1;
	$text .= command() for 1 .. 1 + int rand 12;
	my $read = rand() < 0.8;
	while ($text ne '') {
		my $piece = substr $text, 0, pick(1, 3, 10, 100, 1000, 100000), '';
		IO::Select->new($s)->can_write(2) or last;
		syswrite $s, $piece or last;
		next if !$read || rand() < 0.5;
		sysread $s, my $got, 65536 or last if IO::Select->new($s)->can_read(pick(0, 0.001, 0.01));
		last if rand() < 0.02;
	}
	if (rand() < 0.3) {
		setsockopt $s, SOL_SOCKET, SO_LINGER, pack('II', 1, 0);
	} elsif (rand() < 0.5) {
		shutdown $s, 1;
		sysread $s, my $got, 65536 if IO::Select->new($s)->can_read(0.05);
	}
	close $s;
}

my @children;
for my $n (0 .. $sessions - 1) {
	my $pid = fork // die "fork: $!";
	if ($pid) {
		push @children, $pid;
		next;
	}
	srand $seed * 1000 + $n;
	for (my $i = $n; $i < $messages; $i += $sessions) {
		if (rand() < 0.3) {
			my $r = good($i);
			$r =~ s/\r?\n//;
			syswrite STDOUT, "$i $r\n";
		} else {
			bad();
		}
	}
	exit 0;
}
waitpid $_, 0 for @children;
