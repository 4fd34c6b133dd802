#!/usr/bin/perl
# hopd.pl - a next hop that takes mail over SMTP, LMTP or QMQP, keeps it in files, and dies at a given step
#   hopd.pl PROTOCOL HOST PORT DIRECTORY STEP
# PROTOCOL: smtp, lmtp, qmqp. STEP, at which the process of the session kills itself with SIGKILL: none, connect, greeting, ehlo,
# mail, rcpt, data (said, not answered), body (half of it is there), dot (the message is complete, nothing stored), stored (stored, not
# answered), answered. For qmqp: none, connect, body, dot, stored, answered. A message is stored in DIRECTORY/N before the answer to it.
# Writes "ready PORT" when it listens.
use strict;
use warnings;
use IO::Socket::INET;

my ($protocol, $host, $port, $dir, $step) = @ARGV;
my $listen = IO::Socket::INET->new(LocalAddr => $host, LocalPort => $port, Listen => 50, ReuseAddr => 1) or die "listen: $!";
my $files = 0;

setpgrp;
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = sub { kill 'KILL', -$$ };		# all sessions with us
$| = 1;
print 'ready ', $listen->sockport, "\n";

sub die_at { kill 'KILL', $$ if $_[0] eq $step }

sub store {
	my ($message, $sender, @rcpt) = @_;
	my $name = "$dir/$$.$files";
	$files++;
	open my $f, '>', "$name.tmp" or die "$name: $!";
	print $f $message;
	close $f or die "$name: $!";
	open my $e, '>', "$name.envelope" or die "$name: $!";
	print $e "$sender\n", map { "$_\n" } @rcpt;
	close $e or die "$name: $!";
	rename "$name.tmp", $name or die "$name: $!";
}

sub body {
	my ($s) = @_;
	my ($message, $lines) = ('', 0);
	while (defined(my $line = <$s>)) {
		return $message if $line eq ".\r\n";
		die_at('body') if ++$lines == 6;
		$line =~ s/^\.//;
		$message .= $line;
	}
	exit 0;				# the client has gone: nothing was accepted
}

sub session_smtp {
	my ($s) = @_;
	my ($sender, @rcpt) = ('');
	print $s "220 hop.test ESMTP\r\n";
	die_at('greeting');
	while (defined(my $line = <$s>)) {
		$line =~ s/\r\n$//;
		if ($line =~ /^(EHLO|LHLO|HELO)/i) {
			die_at('ehlo');
			print $s "250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
		} elsif ($line =~ /^MAIL FROM:<(.*?)>/i) {
			die_at('mail');
			($sender, @rcpt) = ($1);
			print $s "250 2.1.0 ok\r\n";
		} elsif ($line =~ /^RCPT TO:<(.*?)>/i) {
			die_at('rcpt');
			push @rcpt, $1;
			print $s "250 2.1.5 ok\r\n";
		} elsif ($line =~ /^DATA/i) {
			die_at('data');
			print $s "354 go\r\n";
			my $message = body($s);
			die_at('dot');
			store($message, $sender, @rcpt);
			die_at('stored');
			print $s "250 2.0.0 stored\r\n" x ($protocol eq 'lmtp' ? @rcpt : 1);
			die_at('answered');
		} elsif ($line =~ /^QUIT/i) {
			print $s "221 2.0.0 bye\r\n";
			exit 0;
		} else {
			print $s "250 2.0.0 ok\r\n";
		}
	}
}

sub netstring {
	my ($p) = @_;
	$$p =~ s/^(0|[1-9][0-9]*):// or die 'no netstring';
	my $data = substr $$p, 0, $1, '';
	length $data == $1 && $$p =~ s/^,// or die 'no netstring';
	return $data;
}

sub session_qmqp {
	my ($s) = @_;
	my ($head, $c, $package) = ('');
	while (read $s, $c, 1 and $c ne ':') { $head .= $c }
	$package = '';
	while (length $package < $head + 1) {
		my $want = $head + 1 - length $package;
		read $s, my $more, $want < 1000 ? $want : 1000 or exit 0;
		$package .= $more;
		die_at('body') if 2 * length $package >= $head;
	}
	die_at('dot');
	$package =~ s/,\z// or die 'no comma at the end';
	my $message = netstring(\$package);
	my $sender = netstring(\$package);
	my @rcpt;
	push @rcpt, netstring(\$package) while $package ne '';
	store($message, $sender, @rcpt);
	die_at('stored');
	print $s '7:Kstored,';
	die_at('answered');
}

while (1) {
	my $s = $listen->accept or next;
	my $pid = fork;
	if ($pid) {
		close $s;
		$files++;
		next;
	}
	$SIG{TERM} = 'DEFAULT';
	close $listen;
	$s->autoflush(1);
	binmode $s;
	die_at('connect');
	$protocol eq 'qmqp' ? session_qmqp($s) : session_smtp($s);
	exit 0;
}
