# Runs in the container and tells what the units do.
show() { systemctl show joolctl -p "$1"; }
# await shows a property once it is as wanted. The test ends all that takes too long.
await() {
	until [ "$(show "$1")" = "$1=$2" ]; do sleep 0.1; done
	show "$1"
}
pid() { systemctl show -P MainPID joolctl; }
# confined tells how a process is confined, after it has executed itself to set its timer slack.
confined() {
	[ "$(readlink "/proc/$1/ns/mnt")" = "$(readlink /proc/1/ns/mnt)" ] || echo mounts of its own
	grep -E '^(CapBnd|NoNewPrivs|Seccomp):' "/proc/$1/status" | tr '\t' ' '
	[ "$(nproc)" = 1 ] || [ "$(cat "/proc/$1/timerslack_ns")" = 20000000 ] || echo it has not executed itself
	grep -q ' / / ro' "/proc/$1/mountinfo" && echo root is read-only
}
# caps shows the effective capabilities of all threads of a process.
caps() { cat /proc/$1/task/*/status | grep CapEff | sort -u | tr '\t' ' '; }
# as runs joolctl as a user, with a group, and shows the exit code and the first line of an error.
as() {
	user=65534
	[ "$1" = root ] && user=0
	name=$1 number=$2
	shift 2
	error=$(setpriv --reuid="$user" --regid="$number" --clear-groups joolctl "$@" 2>&1 >/dev/null)
	echo "$name: $1=$?${error:+ ${error%%$'\n'*}}"
}
nat=/etc/joold.d/nat
good='{"multicast address": "ff08::db8:64:64", "multicast port": "6464", "in interface": "lo", "out interface": "lo", "reuseaddr": 1}'
mkdir -p $nat
echo "$good" >$nat/netsocket.json
echo '{"instance": "nat", "namespace": "none", "stats port": "4000"}' >$nat/modsocket.json
ip link set lo up

systemctl start joolctl
echo start=$?
show Type
show ActiveState
await StatusText "1 workers: 0 running, 1 waiting, 0 backoff, 0 failed"
joolctl status >&2
echo status=$?

echo hardening
for unit in joolctl joold@nat; do
	systemd-analyze verify --man=no "$unit.service" && echo "$unit: verify is clean"
	score=$(systemd-analyze security --no-pager "$unit.service" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
	echo "$unit: exposure $score" >&2
	awk "BEGIN { exit !($score <= 2.5) }" && echo "$unit: exposure 2.5 or less"
done
confined "$(pid)"
echo "queue of the control socket: $(ss -xlH src /run/joolctl/joolctl.sock | awk '{ print $4 }')"

echo users
echo "socket=$(stat -c '%a %U %G' /run/joolctl/joolctl.sock)"
group=$(getent group joolctl | cut -d: -f3)
as root 0 status
as root 0 restart nat
as member "$group" status
as member "$group" restart nat
as stranger 65534 status
as stranger 65534 restart nat
echo everybody may read, as docs/configuration.md says
mkdir -p /run/systemd/system/joolctl.service.d
printf '[Service]\nExecStartPost=/usr/bin/chmod 666 /run/joolctl/joolctl.sock\n' >/run/systemd/system/joolctl.service.d/readers.conf
systemctl daemon-reload
systemctl restart joolctl
await StatusText "1 workers: 0 running, 1 waiting, 0 backoff, 0 failed"
as stranger 65534 status
as stranger 65534 ready nat
as stranger 65534 restart nat
as stranger 65534 reload
as stranger 65534 down
rm -r /run/systemd/system/joolctl.service.d
systemctl daemon-reload
systemctl restart joolctl

echo namespaces
reason() { joolctl status nat | sed -n 's/^nat: \([^;]*\).*/\1/p'; }
until_reason() {
	until [ "$(reason)" = "$1" ]; do sleep 0.1; done
	reason
}
ip netns add other
ip netns add none
until_reason 'the kernel module jool is not loaded'
ip -n none link add end type veth peer name end netns other
ip netns delete none
until_reason 'namespace "none" does not exist'
while ip -n other link show end >/dev/null 2>&1; do sleep 0.1; done
echo the deleted namespace is gone
ip netns delete other

echo a bad file
echo '{' >$nat/netsocket.json
systemctl reload joolctl
echo reload=$?
show ActiveState
await StatusText "1 workers: 0 running, 0 waiting, 0 backoff, 1 failed"

echo a good one
echo "$good" >$nat/netsocket.json
systemctl reload joolctl
echo reload=$?
await StatusText "1 workers: 0 running, 1 waiting, 0 backoff, 0 failed"

echo an upgrade: another program under the name, and a restart
program=$(command -v joolctl)
{ cat "$program"; echo another; } >"$program.new"
chmod 755 "$program.new"
mv "$program.new" "$program"
exec 3<>/dev/udp/127.0.0.1/4000
systemctl restart joolctl
echo restart=$?
tail -c 8 "/proc/$(pid)/exe"
show NFileDescriptorStore
until journalctl --no-pager "_PID=$(pid)" -o cat | grep -o "going on from the process before.*"; do sleep 0.1; done # journald is later
echo '?' >&3
timeout 60 dd bs=2048 count=1 <&3 2>/dev/null | head -1
exec 3>&-

echo killed
kill -9 "$(pid)"
await NRestarts 1
await ActiveState active

echo watchdog
mkdir /run/systemd/system/joolctl.service.d
printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/joolctl.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart joolctl
notified() { show WatchdogTimestampMonotonic; }
for _ in 1 2 3 4; do
	before=$(notified)
	while [ "$(notified)" = "$before" ]; do sleep 0.1; done
done
show NRestarts
kill -STOP "$(pid)"
await NRestarts 1
await ActiveState active
rm -r /run/systemd/system/joolctl.service.d
systemctl daemon-reload

echo one pair alone
systemctl start joold@nat
await ActiveState inactive >&2 # neither waits for the other
echo "joolctl=$(systemctl is-active joolctl)"
echo "joold@nat=$(systemctl is-active joold@nat)"
systemctl show -p Type joold@nat
confined "$(systemctl show -P MainPID joold@nat)"
echo its own namespace
echo '{"instance": "nat"}' >$nat/modsocket.json
systemctl restart joold@nat
caps "$(systemctl show -P MainPID joold@nat)"
until journalctl --no-pager -u joold@nat -o cat | grep -o 'the kernel module jool is not loaded' | head -1 | grep .; do sleep 0.1; done
echo all of them
systemctl start joolctl
echo "joolctl=$(systemctl is-active joolctl)"
echo "joold@nat=$(systemctl is-active joold@nat)"

systemctl stop joolctl
echo stop=$?
[ -e /run/joolctl ] || echo runtime directory=gone
journalctl --no-pager -u joolctl -u joold@nat >&2
