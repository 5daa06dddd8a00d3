# Runs in a Debian with systemd and the real module, and tells what the units do there.
exec 2>/out/log
install -D -t /usr/libexec/joolctl /srv/test/joold
install -t /usr/bin /srv/test/joolctl
cp /srv/test/*.service /etc/systemd/system/
groupadd --system joolctl
systemctl daemon-reload
systemctl --version >&2

# await waits until a command's output is as wanted, and shows it. The test ends all that takes too long.
await() {
	wanted=$1
	shift
	until [ "$("$@" 2>/dev/null)" = "$wanted" ]; do sleep 0.2; done
	echo "$wanted"
}
column() { joolctl status "$1" | awk -v name="$1" -v n="$2" '$1 == name { print $n }'; }
state() { column "$1" 3; }
synced() { column "$1" 4; }
pid() { systemctl show -P MainPID "$1"; }
restarts() { systemctl show -P NRestarts joolctl; }
log() { journalctl --no-pager -u "$1" -o cat | grep -o "$2" | tail -n 1; }
gone() { ip link show "$1" >/dev/null 2>&1 || echo gone; }

# pair writes a pair's files; the namespace of both sockets may be none.
pair() {
	mkdir -p "/etc/joold.d/$1"
	echo '{"multicast address": "233.252.0.64", "multicast port": "6464", "in interface": "'"$3"'", "out interface": "'"$3"'", "reuseaddr": 1}' >"/etc/joold.d/$1/netsocket.json"
	echo '{"instance": "nat"'"$2"', "tune ss": true}' >"/etc/joold.d/$1/modsocket.json"
}
# namespace makes a namespace with an instance, on the link "sync" to all others. Its end of "free-NAME" goes with it.
namespace() {
	ip netns add "$1"
	ip link add "free-$1" type veth peer name free netns "$1"
	ip link add "sync-$1" master sync type veth peer name sync netns "$1"
	ip link set "sync-$1" up
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$2" dev sync
	ip -n "$1" link set sync up
	ip netns exec "$1" sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.forwarding=1
	ip netns exec "$1" jool instance add nat --netfilter --pool6 64:ff9b::/96
	ip netns exec "$1" jool -i nat global update ss-enabled true
}
ip link add sync type bridge
ip addr add 192.0.2.254/24 dev sync
ip link set sync up
modprobe jool

for unit in joolctl joold@blue; do
	systemd-analyze verify --man=no "$unit.service" && echo "$unit: verify is clean"
	score=$(systemd-analyze security --no-pager "$unit.service" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
	echo "$unit: exposure $score" >&2
	awk "BEGIN { exit !($score <= 2.5) }" && echo "$unit: exposure 2.5 or less"
done

echo a namespace from before the service
namespace blue 192.0.2.1/24
pair blue ', "namespace": "blue"' sync
systemctl start joolctl
await running state blue
[ "$(readlink "/proc/$(pid joolctl)/ns/mnt")" = "$(readlink /proc/1/ns/mnt)" ] || echo mounts of its own
grep -E '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$(pid joolctl)/status" | tr '\t' ' '
echo "timer slack $(cat "/proc/$(pid joolctl)/timerslack_ns")"

echo a namespace from after it
namespace red 192.0.2.2/24
pair red ', "namespace": "red"' sync
await running state red
await yes synced red
await yes synced blue

echo a session goes from the one to the other
ip netns add host6
ip link add to6 netns blue type veth peer name to6 netns host6
ip -n blue addr add 2001:db8::1/64 dev to6 nodad
ip -n blue link set to6 up
ip -n host6 addr add 2001:db8::8/64 dev to6 nodad
ip -n host6 link set to6 up
ip -n host6 route add default via 2001:db8::1
sessions() { ip netns exec red jool -i nat session display --udp --numeric | grep -o '64:ff9b::c000:202#5000' | head -n 1; }
until [ -n "$(sessions)" ]; do
	ip netns exec host6 bash -c 'echo hello >/dev/udp/64:ff9b::192.0.2.2/5000'
	sleep 1
done
sessions

echo a deleted namespace
ip netns delete red
await waiting state red
await gone gone free-red

echo a recreated one
namespace red 192.0.2.2/24
await running state red
await yes synced red

echo a restart keeps sockets
systemctl restart joolctl
await running state red
await running state blue
await 'going on from the process before' log joolctl 'going on from the process before'

echo a crash
kill -KILL "$(pid joolctl)"
await 1 restarts
await running state blue

echo a stopped process
kill -STOP "$(pid joolctl)"
await 2 restarts
await running state blue
await running state red

echo one stopped loop
# The thread of blue's namespace. Blue's HELLOs come to red, and red's to blue.
blue=$(stat -L -c 'net:[%i]' /run/netns/blue)
thread() {
	for task in /proc/"$(pid joolctl)"/task/*; do
		[ "$(readlink "$task/ns/net")" = "$blue" ] && echo "${task##*/}"
	done | head -n 1
}
# It is stopped at work: when it begins to write an ACK to the module. A thread that waits for work would not do: its timers are fired by
# another one. Nor would reading a socket: Go's collector takes that for part of the program, waits for it, and all threads with it.
cat >/srv/stop.pl <<'PERL'
use constant { PTRACE => 101, ATTACH => 16, SYSCALL => 24, WALL => 0x40000000 };
use constant WRITE => 1;
my $tid = shift() + 0; # a number, for syscall
syscall(PTRACE, ATTACH, $tid, 0, 0) == 0 or die "ptrace: $!";
waitpid($tid, WALL);
do {
	syscall(PTRACE, SYSCALL, $tid, 0, 0) == 0 or die "ptrace: $!";
	waitpid($tid, WALL);
	open(my $file, "<", "/proc/$tid/syscall") or die "syscall: $!";
	($number) = split(" ", <$file>);
} until $number == WRITE;
print STDERR "thread $tid is stopped\n";
waitpid($tid, WALL); # until it is killed
PERL
perl /srv/stop.pl "$(thread)" &
stopper=$!
while kill -0 $stopper; do
	ip netns exec host6 bash -c 'echo hello >/dev/udp/64:ff9b::192.0.2.2/5000'
	sleep 1
done &
await 'the worker is replaced' log joolctl 'the worker is replaced'
echo "red is $(state red)"
await 'the watchdog is not notified' log joolctl 'the watchdog is not notified'
await 3 restarts
await running state blue
await running state red

echo one pair alone
systemctl start joold@blue
await 'running module' log joold@blue 'running module'
echo "joolctl is $(systemctl is-active joolctl)"
ip netns delete blue
await gone gone free-blue
namespace blue 192.0.2.1/24
systemctl stop joold@blue

echo one pair alone, in its own namespace
jool instance add nat --netfilter --pool6 64:ff9b::/96
jool -i nat global update ss-enabled true
pair own '' sync
systemctl start joold@own
await 'running module' log joold@own 'running module'
cat /proc/"$(pid joold@own)"/task/*/status | grep CapEff | sort -u | tr '\t' ' '

systemctl stop joold@own
echo stop=$?
journalctl --no-pager -u 'jool*' -u 'joold@*' >/out/journal
