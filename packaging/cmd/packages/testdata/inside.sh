# Runs in the container that packaging/systemd/container/container.sh boots, and
# tells what the packages old.deb and new.deb do.
dir=/results
nat=/etc/joold.d/nat
enabled=/etc/systemd/system/multi-user.target.wants/joolctl.service
package() { # package WHAT COMMAND…: the command, and what came of it
	echo "$1"
	shift
	"$@" >&2 || echo "exit=$?"
	echo "  joolctl $(systemctl is-active joolctl), $(systemctl is-enabled joolctl 2>/dev/null)"
}
pid() { systemctl show -P MainPID joolctl; }
program() { tail -c 8 "/proc/$(pid)/exe" | tr -cd a-z; }
stored() { journalctl --no-pager -u joolctl -o cat | grep -c "going on from the process before"; }

package installation dpkg -i $dir/old.deb
stat -c '  %a %U:%G %n' /etc/joold.d /usr/bin/joolctl /usr/libexec/joolctl/joold /usr/lib/systemd/system/joolctl.service
echo "  group $(getent group joolctl | cut -d: -f1)"
echo "  conffiles: $(dpkg-query -W -f '${Conffiles}' joolctl)"
package "upgrade of what does not run" dpkg -i $dir/new.deb

mkdir $nat
echo '{"multicast address": "ff08::db8:64:64", "multicast port": "6464", "in interface": "lo", "out interface": "lo", "reuseaddr": 1}' >$nat/netsocket.json
echo '{"instance": "nat", "namespace": "none", "stats port": "4000"}' >$nat/modsocket.json
ip link set lo up
joolctl check >&2 || echo check=$?
package start systemctl enable --now joolctl
stat -c '  %a %U:%G %n' /run/joolctl/joolctl.sock
useradd --system --groups joolctl member
setpriv --reuid member --regid member --init-groups joolctl reload >&2 || echo "reload by a member of the group: exit=$?"
echo "  runs $(program)"
before=$(pid)
package downgrade dpkg -i $dir/old.deb
[ "$before" != "$(pid)" ] || echo "not restarted"
[ "$(program)" != another ] || echo "not the old program"
before=$(pid)
package upgrade dpkg -i $dir/new.deb
[ "$before" != "$(pid)" ] || echo "not restarted"
echo "  runs $(program)"
until [ "$(stored)" -ge 2 ]; do sleep 0.1; done # journald is later
echo "  $(stored) restarts kept sockets and counters"

package removal dpkg -r joolctl
ls $nat | sed 's/^/  /'
[ -L $enabled ] && echo "  stays enabled"
package "installation after a removal" dpkg -i $dir/old.deb
systemctl start joolctl
package purge dpkg -P joolctl
ls $nat | sed 's/^/  /'
[ -L $enabled ] || echo "  is not enabled any more"
find /usr /etc /var/lib /run -name '*joolctl*' -not -path '/var/lib/systemd/*' | sed 's/^/  left: /'

rm -r $nat
package "installation and purge without files" sh -c "dpkg -i $dir/old.deb && dpkg -P joolctl"
[ -e /etc/joold.d ] && echo "left: /etc/joold.d"
# shellcheck disable=SC2016
package "the same without systemd" unshare --mount sh -ec "
	mount -t tmpfs none /run
	dpkg -i $dir/old.deb
	dpkg -i $dir/new.deb
	dpkg -P joolctl"
