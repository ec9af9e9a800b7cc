#!/bin/bash
# Installs what the tests drive that is not ours: container clients, proxies, promtool (root; Debian 12; idempotent;
# nothing is started).
#   setup.sh            everything, the lazy-pull daemon included
#   setup.sh --no-lazy  without Go and the lazy-pull daemon
# The lazy-pull daemon is a small program of our own (lazyfsd/), linked against Debian's packaged
# stargz-snapshotter library: half a minute of compiling the first time, kept in $RM_CLIENTS_CACHE.
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

want=(busybox-static buildah ca-certificates containerd curl debootstrap docker.io docker-registry e2fsprogs fuse3 haproxy
      iproute2 mmdebstrap
      nginx-light openssl podman procps prometheus runc skopeo squashfs-tools stargz-snapshotter systemd umoci zstd)
lazy=(golang-go golang-github-containerd-stargz-snapshotter-dev)
[[ ${1:-} == --no-lazy ]] && lazy=()

mkdir -p "$RM_CLIENTS_CACHE"
exec 9>"$RM_CLIENTS_CACHE/setup.lock"
flock 9 # two runs at once: the second finds what the first installed

missing=()
for package in "${want[@]}" "${lazy[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  [[ $(id -u) == 0 ]] || { rm_note "missing Debian packages; run as root: apt-get install ${missing[*]}"; exit 1; }
  rm_note "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "$RM_KIT/../again.sh" sh -c 'apt-get update -qq &&
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"' sh "${missing[@]}" \
    </dev/null >&2 9>&- # what a package starts does not keep the lock
fi
if ((${#lazy[@]})); then rm_build_lazyfsd; fi

version() { "$1" --version | awk '{ print $3 }'; }
printf 'clients: containerd %s, skopeo %s, buildah %s, podman %s, umoci %s, lazyfsd %s\n' "$(version containerd)" \
  "$(version skopeo)" "$(version buildah)" "$(version podman)" "$(version umoci)" \
  "$([[ -x $RM_LAZYFSD ]] && echo ready || echo none)"
[[ -c /dev/fuse ]] || rm_note 'note: no /dev/fuse: lazy pulling cannot run here'
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || rm_note 'note: no overlay file system'
