# Runs in the container and tells what the units do.
show() { systemctl show joolctl -p "$1"; }
# await shows a property once it is as wanted. The test ends all that takes too long.
await() {
	until [ "$(show "$1")" = "$1=$2" ]; do sleep 0.1; done
	show "$1"
}
pid() { systemctl show -P MainPID joolctl; }
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
grep CapBnd "/proc/$(pid)/status"
echo "socket=$(stat -c '%a %U %G' /run/joolctl/joolctl.sock)"
joolctl status >&2
echo status=$?

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
until journalctl --no-pager -u joolctl -o cat | grep -o "going on from the process before.*"; do sleep 0.1; done # journald is later
echo '?' >&3
timeout 60 dd bs=2048 count=1 <&3 2>/dev/null | head -1
exec 3>&-

echo killed
kill -9 "$(pid)"
await NRestarts 1
await ActiveState active

echo one pair alone
systemctl start joold@nat
await ActiveState inactive >&2 # neither waits for the other
echo "joolctl=$(systemctl is-active joolctl)"
echo "joold@nat=$(systemctl is-active joold@nat)"
echo all of them
systemctl start joolctl
echo "joolctl=$(systemctl is-active joolctl)"
echo "joold@nat=$(systemctl is-active joold@nat)"

systemctl stop joolctl
echo stop=$?
[ -e /run/joolctl ] || echo runtime directory=gone
journalctl --no-pager -u joolctl -u joold@nat >&2
