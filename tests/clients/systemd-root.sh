#!/bin/bash
# systemd-root.sh FOLDER SITE_PACKAGES: becomes a real systemd, process 1 of a machine of its own (root).
#
# That machine has this one's files, in which it changes nothing: what it writes is kept in memory. Its processes, mounts,
# network and control groups are its own too, so that nothing outlives it; the control group, FOLDER/group, is to be
# removed after. The program is installed in it as docs/operating.md says, without a package index: from SITE_PACKAGES
# and the checkout that this lies in. Exit 77, and the reason: no systemd can be had here.
set -euo pipefail
cannot() { echo "no systemd can be had here: $*" >&2; exit 77; }

if [[ -z ${RM_INSIDE:-} ]]; then
  [[ $(id -u) == 0 ]] || cannot 'not root'
  [[ -x /lib/systemd/systemd ]] || cannot 'not installed'
  unshare --mount --pid --net --uts --ipc --cgroup --fork true 2>/dev/null || cannot 'no namespaces'
  export RM_INSIDE=group
  exec unshare --mount "$0" "$@"
elif [[ $RM_INSIDE == group ]]; then
  mount --make-rprivate /
  mkdir -p "$1/groups"
  mount -t cgroup2 none "$1/groups" || cannot 'no cgroup2'
  group=$1/groups/registry-mesh-$$
  mkdir "$group" && echo $$ >"$group/cgroup.procs" || cannot 'no control group of its own'
  export RM_INSIDE=machine
  exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child "$0" "$@"
fi

T=$1 packages=$2
python=/usr/bin/$(basename "$(dirname "$packages")") # one in /root or /home is not seen by a unit with ProtectHome=
[[ -x $python ]] || cannot "no $python"
source=$(cd "$(dirname "$0")/../.." && pwd) R=$T/root
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$T"
mkdir "$T"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$T/upper,workdir=$T/work" "$R" || cannot 'no overlay of /'
mount -t proc proc "$R/proc"
mount -t sysfs sysfs "$R/sys"
mount -t cgroup2 none "$R/sys/fs/cgroup"
mount --rbind /dev "$R/dev"
mount -t tmpfs -o mode=755 tmpfs "$R/run"
mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
ip link set lo up
hostname registry-mesh-test

# /opt/registry-mesh, as venv and pip make it.
"$python" -m venv --without-pip "$R/opt/registry-mesh"
sed -i "s#$R##g" "$R/opt/registry-mesh/pyvenv.cfg"
site=$(echo "$R"/opt/registry-mesh/lib/python3*/site-packages)
mkdir "$T"/{packages,packages-work}
mount -t overlay overlay -o "lowerdir=$packages,upperdir=$T/packages,workdir=$T/packages-work" "$site"
rm -f "$site"/*registry_mesh*.pth
cp -r "$source/registry_mesh" "$site/"
printf '#!/opt/registry-mesh/bin/python\nfrom registry_mesh.cli.main import main\nmain()\n' >"$R/opt/registry-mesh/bin/registry-mesh"
chmod 755 "$R/opt/registry-mesh/bin/registry-mesh"
install -D -m 644 -t "$R/usr/lib/sysusers.d" "$source/deploy/systemd/registry-mesh.sysusers.conf"
mv "$R/usr/lib/sysusers.d/registry-mesh.sysusers.conf" "$R/usr/lib/sysusers.d/registry-mesh.conf"
chroot "$R" systemd-sysusers registry-mesh.conf 2>/dev/null
install -m 644 "$source/deploy/systemd/registry-mesh@".{service,socket} "$R/etc/systemd/system/"
install -d -m 755 "$R/etc/registry-mesh"

# Compiled here, as pip does it: the unit cannot, and each process would do it again.
chroot "$R" env -u PYTHONPYCACHEPREFIX -u PYTHONDONTWRITEBYTECODE /opt/registry-mesh/bin/python -c '
import importlib, pkgutil, registry_mesh
for module in pkgutil.walk_packages(registry_mesh.__path__, "registry_mesh."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)'

printf '[Unit]\nAllowIsolate=yes\nDefaultDependencies=no\n' >"$R/etc/systemd/system/alone.target"
export container=registry-mesh-test
unset NOTIFY_SOCKET RM_INSIDE
cd "$R"
pivot_root . mnt
umount -l mnt
mount --make-rshared / # units get their credentials by mounts that are handed on
exec chroot . /lib/systemd/systemd --system --unit=alone.target --log-target=null --show-status=no
