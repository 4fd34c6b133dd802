#!/usr/bin/perl
# tests/integration/smtpcbd_client.pl - asks as a mail server's plugin would: a line out, a line in, split at colons into six
#	smtpcbd_client.pl one HOST:PORT ADDRESS...	in sequence on one connection
#	smtpcbd_client.pl many HOST:PORT ADDRESS...	a connection for each, all open before the first asks
# One line for each address, in their order: "ADDRESS CODE TEXT|ADDR|SERVER|SINCE|NEXT". 60 s for each connection and reply.
use strict;
use warnings;
use IO::Socket::INET;

my ($mode, $peer, @ask) = @ARGV;

sub dial {
	return IO::Socket::INET->new(PeerAddr => $peer, Proto => 'tcp', Timeout => 60) || die "connect $peer: $@\n";
}

sub answer {
	my ($socket, $address) = @_;
	local $SIG{ALRM} = sub { die "$address: no reply within 60 s\n" };

	alarm 60;
	my $line = $socket->getline;
	alarm 0;
	die "$address: no reply\n" unless defined $line;
	die "$address: no line: $line\n" unless $line =~ s/\n\z//;
	my ($code, $text, $addr, $server, $since, $next) = split /:/, $line;
	die "$address: not six fields: $line\n" unless defined $next;
	die "$address: no times: $line\n" unless $since =~ /^\d+$/ && $next =~ /^\d+$/;
	die "$address: odd times: $line\n" unless $since <= time && $next >= time - 60;
	print "$address $code $text|$addr|$server|$since|$next\n";
}

if ($mode eq 'one') {
	my $socket = dial();
	for my $address (@ask) {
		$socket->print("<$address>\n");
		answer($socket, $address);
	}
} else {
	my @sockets = map { dial() } @ask;
	$sockets[$_]->print("<$ask[$_]>\n") for 0 .. $#ask;
	answer($sockets[$_], $ask[$_]) for 0 .. $#ask;
}
