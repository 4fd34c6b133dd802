#!/usr/bin/perl
# mailer.pl - sends messages over SMTP, several sessions at a time, and tells of each what became of it
#   mailer.pl HOST PORT SESSIONS MESSAGES BYTES [RECIPIENT]
# One line for each message: its number and the last reply to it, or "lost" and the step. The number is in the header
# X-Number; each session sends its messages in one connection as long as that lasts.
#   mailer.pl - - - NUMBER BYTES
# shows the body of such a message, as it is kept in a file.
use strict;
use warnings;
use IO::Socket::INET;

my ($host, $port, $sessions, $messages, $bytes, $rcpt) = @ARGV;
$rcpt //= 'bob@next.test';
$| = 1;

sub reply {
	my ($s) = @_;
	my $text = '';
	while (defined(my $line = <$s>)) {
		$line =~ s/\r\n$//;
		$text .= $line;
		return $text if $line =~ /^\d\d\d( |$)/;
		$text .= ' / ';
	}
	return;
}

sub say_to {
	my ($s, $line) = @_;
	print $s "$line\r\n";
	return reply($s);
}

sub hello {
	my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 20) or return (undef, "no connection: $!");
	binmode $s;
	$s->autoflush(1);
	for my $r (reply($s) // 'lost before the greeting', say_to($s, 'EHLO mailer.test') // 'lost at EHLO') {
		return (undef, $r) if $r !~ /^2/;
	}
	return $s;
}

sub message {
	my ($number) = @_;
	my $text = "From: <ann\@mailer.test>\r\nSubject: $number\r\nX-Number: $number\r\n\r\n";
	my $line = 0;
	$text .= ($line++ % 7 ? '' : '..') . "line $line of message $number, \xe9\xff\r\n" while length $text < $bytes;
	return "$text.\r\n";
}

sub send_one {
	my ($s, $number) = @_;
	for ('MAIL FROM:<ann@mailer.test>', "RCPT TO:<$rcpt>", 'DATA') {
		my $r = say_to($s, $_) // return (0, "lost at $_");
		return (say_to($s, 'RSET') ? 1 : 0, $r) if $r !~ /^[23]/;
	}
	print $s message($number);
	my $r = reply($s) // return (0, 'lost at the end');
	return ($r !~ /^421/, $r);
}

if ($host eq '-') {
	my ($body) = message($messages) =~ /\A.*?\r\n\r\n(.*)\.\r\n\z/s;
	$body =~ s/^\.//mg;
	$body =~ s/\r\n/\n/g;
	print $body;
	exit 0;
}
$SIG{PIPE} = 'IGNORE';
my @children;
for my $n (0 .. $sessions - 1) {
	my $pid = fork // die "fork: $!";
	if ($pid) {
		push @children, $pid;
		next;
	}
	my $s;
	for (my $i = $n; $i < $messages; $i += $sessions) {
		my ($on, $what) = (1);
		($s, $what) = hello() if !$s;
		($on, $what) = send_one($s, $i) if $s;
		syswrite STDOUT, "$i $what\n";
		undef $s if !$on;
	}
	say_to($s, 'QUIT') if $s;
	exit 0;
}
waitpid $_, 0 for @children;
