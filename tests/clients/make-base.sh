#!/bin/bash
# make-base.sh — makes what the image of deploy/ is built from where no registry is reached (root, network, about half a
# minute), once: it is kept in $RM_CLIENTS_CACHE. Prints the folder, which has
#   root.tar   Debian 12 as debian:12-slim is: what is required, and apt, without manuals
#   wheels     the packages of requirements.lock, their hashes checked
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"
lock=$RM_KIT/../../requirements.lock
base=$RM_CLIENTS_CACHE/base-$(cat "$0" "$lock" | sha256sum | cut -c1-12)
if [[ -f $base/root.tar ]]; then echo "$base"; exit; fi
mkdir -p "$RM_CLIENTS_CACHE"
exec 9>"$base.lock"
flock 9 # two runs at once: the second takes what the first made
if [[ -f $base/root.tar ]]; then echo "$base"; exit; fi

rm_workdir
read -r mirror < <(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
  'Label: Debian' 'Codename: bookworm' 2>/dev/null | head -1) || true
eval "$(apt-config shell proxy Acquire::http::Proxy)"
rm_note "mmdebstrap from ${mirror:-its own default}"
apt=()
[[ -n ${proxy:-} ]] && apt=(--aptopt="Acquire::http::Proxy \"$proxy\"")
"$RM_KIT/../again.sh" mmdebstrap --quiet --variant=minbase --include=usr-is-merged \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "${apt[@]}" --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  bookworm "$T/root.tar" ${mirror:+"$mirror"} >"$T/log" 2>&1 </dev/null || { tail -5 "$T/log" >&2; exit 1; }
rm_note 'the packages of requirements.lock'
"$RM_KIT/../again.sh" "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-input \
  --require-hashes --python-version 3.11 --only-binary=:all: --no-deps --dest "$T/wheels" -r "$lock" >&2
rm -rf "$base" && mkdir "$base"
cp -r "$T/wheels" "$base/" && cp "$T/root.tar" "$base/root.new" && mv "$base/root.new" "$base/root.tar"
echo "$base"
