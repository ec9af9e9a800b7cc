#!/bin/bash
# make-debian.sh — makes a real image, Debian 12 with compiler, Python, Perl and git in five layers (more than
# 100 MB packed), by debootstrap (root, network, about two minutes), once: it is kept in $RM_CLIENTS_CACHE.
# Prints where: an OCI layout with the tag `12`, for instance for
#   skopeo copy --dest-tls-verify=false "oci:$(make-debian.sh):12" docker://127.0.0.1:5000/library/debian:12
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"
layout=$RM_CLIENTS_CACHE/debian-$(sha256sum <"$0" | cut -c1-12)
if [[ -f $layout/index.json ]]; then echo "$layout"; exit; fi
mkdir -p "$RM_CLIENTS_CACHE"
exec 9>"$layout.lock"
flock 9 # two runs at once: the second takes what the first made
if [[ -f $layout/index.json ]]; then echo "$layout"; exit; fi

read -r mirror suite < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' \
  'Origin: Debian' 'Label: Debian' 'Codename: bookworm' 2>/dev/null | head -1) || true
eval "$(apt-config shell proxy Acquire::http::Proxy)"
rm_workdir
rm_note "debootstrap ${suite:=bookworm} from ${mirror:-its own default}"
env ${proxy:+"http_proxy=$proxy"} debootstrap --variant=minbase --include=build-essential,git,perl,python3 \
  "$suite" "$T/root" ${mirror:+"$mirror"} >"$T/debootstrap.log" 2>&1 </dev/null || { tail -5 "$T/debootstrap.log" >&2; exit 1; }
rm -rf "$T"/root/var/cache/apt/* "$T"/root/var/lib/apt/lists/* "$T"/root/dev/* "$T"/root/proc/* "$T"/root/sys/*

rm_note 'layers'
umoci init --layout "$T/img"
umoci new --image "$T/img:12"
layer() { # NAME TAR_ARGUMENTS...
  local name=$1
  shift
  tar -C "$T/root" --sort=name --mtime=@1767225600 --numeric-owner -cf "$T/$name.tar" "$@"
  umoci raw add-layer --image "$T/img:12" "$T/$name.tar"
  rm "$T/$name.tar"
}
layer base --exclude=./usr/share --exclude=./usr/lib/gcc --exclude=./usr/lib/git-core --exclude='./usr/lib/python3*' .
layer share ./usr/share
layer compiler ./usr/lib/gcc
layer git ./usr/lib/git-core
layer python ./usr/lib/python3 ./usr/lib/python3.11
umoci config --image "$T/img:12" --config.entrypoint /usr/bin/python3 --config.cmd --version \
  --config.env PATH=/usr/sbin:/usr/bin:/sbin:/bin --created 2026-01-01T00:00:00Z
umoci gc --layout "$T/img"
rm -rf "$layout.new" && cp -r "$T/img" "$layout.new" && mv -T "$layout.new" "$layout"
echo "$layout"
