#!/usr/bin/perl
# The game in Perl.
open(my $life, '>>', $ENV{LIFE}) or die;
$life->autoflush(1);
for (1 .. 6000) {
    open(my $up, '<', '/proc/uptime') or die;
    my ($t) = split ' ', <$up>;
    print $life "$t\n";
    select(undef, undef, undef, 0.01);
}
