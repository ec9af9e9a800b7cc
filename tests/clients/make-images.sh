#!/bin/bash
# make-images.sh REGISTRY_URL [REPO_PREFIX] — makes the test images and pushes
# them to a plain registry (http://127.0.0.1:5000). Prefix: team (default).
#
#   PREFIX/app:1          gzip layers, about 210 MB: Debian userland, Python,
#                         3,000 files, one big file, a small program
#   PREFIX/app:2          the same with another last layer (shares the rest)
#   PREFIX/app:zstd       the same layers as zstd:chunked (zstd; lazy-pullable)
#   PREFIX/app:esgz       eStargz (lazy-pullable), no prefetch list
#   PREFIX/app:esgz-opt   eStargz whose prefetch list was recorded from a real run
#   PREFIX/tiny:1         one small layer
#   PREFIX/multi:1        an OCI index (linux/amd64 is app:1; linux/arm64 differs)
# MB=n scales the two big layers (default 90 each). ONLY="app tiny multi zstd esgz opt".
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"
url=${1:?registry URL} prefix=${2:-team} mb=${MB:-90}
only=" ${ONLY:-app tiny multi zstd esgz opt} "
reg=${url#*://}
rm_workdir
cd "$T"

rm_note 'layers'
python3 "$RM_KIT/make_layers.py" "$T/layers" "$mb"

umoci init --layout img
mk() { # TAG LAYER...
  local tag=$1 l
  shift
  umoci new --image "img:$tag"
  for l in "$@"; do umoci raw add-layer --image "img:$tag" "layers/$l.tar"; done
  umoci config --image "img:$tag" --config.entrypoint /usr/bin/python3.11 --config.cmd /app/main.py \
    --config.env PATH=/usr/bin:/bin --created 2026-01-01T00:00:00Z
}
push() { # FROM TO [skopeo options]
  local from=$1 to=$2
  shift 2
  skopeo copy -q --insecure-policy --dest-tls-verify=false "$@" "$from" "docker://$reg/$prefix/$to"
}
umoci new --image img:tiny
umoci raw add-layer --image img:tiny layers/tiny.tar
umoci config --image img:tiny --config.entrypoint /bin/busybox --config.cmd true --created 2026-01-01T00:00:00Z
push oci:img:tiny tiny:1
if [[ $only == *" app "* ]]; then
  rm_note "app:1, app:2"
  mk one base python files model app1
  push oci:img:one app:1
  umoci tag --image img:one two
  umoci raw add-layer --image img:two layers/app2.tar
  push oci:img:two app:2
fi
if [[ $only == *" multi "* ]]; then
  rm_note 'multi:1'
  umoci config --image img:one --tag arm --architecture arm64 --created 2026-01-01T00:00:00Z
  push oci:img:one multi:amd64
  push oci:img:arm multi:arm64
  python3 - "$url" "$prefix/multi" <<'PY'
import json, sys, urllib.request as r
base = "%s/v2/%s/manifests/" % tuple(sys.argv[1:3])
kinds = "application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.v2+json"
out = []
for arch in ("amd64", "arm64"):
    a = r.urlopen(r.Request(base + arch, headers={"Accept": kinds}))
    body = a.read()
    out.append({"mediaType": a.headers["Content-Type"], "digest": a.headers["Docker-Content-Digest"],
                "size": len(body), "platform": {"os": "linux", "architecture": arch}})
kind = "application/vnd.oci.image.index.v1+json"
doc = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": out}).encode()
r.urlopen(r.Request(base + "1", data=doc, method="PUT", headers={"Content-Type": kind}))
PY
fi
if [[ $only == *" esgz "* || $only == *" opt "* || $only == *" zstd "* ]]; then
  rm_containerd
  remote=(ctr-remote --address "$T/c.sock" --namespace mesh)
  here=$reg/$prefix/app
  "${remote[@]}" images pull --plain-http "$here:1" >/dev/null
  if [[ $only == *" zstd "* ]]; then # not skopeo: it reuses gzip layers that the registry has
    rm_note 'app:zstd'
    "${remote[@]}" images convert --zstdchunked --oci "$here:1" "$here:zstd" >/dev/null
    "${remote[@]}" images push --plain-http "$here:zstd" >/dev/null
  fi
  if [[ $only == *" esgz "* ]]; then
    rm_note 'app:esgz'
    "${remote[@]}" images convert --estargz --estargz-compression-level 6 --oci "$here:1" "$here:esgz" >/dev/null
    "${remote[@]}" images push --plain-http "$here:esgz" >/dev/null
  fi
  if [[ $only == *" opt "* ]]; then
    rm_note 'app:esgz-opt (runs the image once to record what it reads)'
    "${remote[@]}" images optimize --oci --period 20 "$here:1" "$here:esgz-opt" >"$T/opt.log" 2>&1 ||
      { tail -20 "$T/opt.log" >&2; exit 1; }
    "${remote[@]}" images push --plain-http "$here:esgz-opt" >/dev/null
  fi
fi
rm_note done
