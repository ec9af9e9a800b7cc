# What the scripts in this folder share; source it. Every process that is started here is written down, and
# only those are ended.
RM_KIT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RM_CLIENTS_CACHE=${RM_CLIENTS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/registry-mesh-clients}
RM_LAZYFSD=${RM_LAZYFSD:-$RM_CLIENTS_CACHE/lazyfsd-$(cat "$RM_KIT"/lazyfsd/*.go | sha256sum | cut -c1-12)}
RM_CONTAINERD=${RM_CONTAINERD:-containerd} # another containerd/ctr pair may be named
RM_CTR=${RM_CTR:-ctr}
RM_PIDS=()

rm_note() { printf '%s\n' "$*" >&2; }

rm_build_lazyfsd() {
  [[ -x $RM_LAZYFSD ]] && return
  mkdir -p "$RM_CLIENTS_CACHE"
  (cd "$RM_KIT/lazyfsd" && GO111MODULE=off GOFLAGS='' CGO_ENABLED=0 \
    GOPATH="$PWD/gopath:/usr/share/gocode" GOCACHE="$RM_CLIENTS_CACHE/gocache" \
    /usr/lib/go-1.19/bin/go build -o "$RM_LAZYFSD.$$" . && mv "$RM_LAZYFSD.$$" "$RM_LAZYFSD")
}

# rm_spawn LOG COMMAND...: in the background, its id noted
rm_spawn() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  RM_PIDS+=($!)
}

# rm_await SECONDS COMMAND...: until it succeeds
rm_await() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# rm_workdir: a short temporary folder in $T (unix socket names are limited),
# emptied at exit together with whatever was mounted below it
rm_workdir() {
  T=$(mktemp -d "${TMPDIR:-/tmp}/rm.XXXXXX")
  trap rm_cleanup EXIT
}

rm_cleanup() {
  local i p
  for ((i = ${#RM_PIDS[@]} - 1; i >= 0; i--)); do
    p=${RM_PIDS[i]}
    kill -TERM "$p" 2>/dev/null || continue
    for _ in $(seq 50); do
      kill -0 "$p" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$p" 2>/dev/null || true
  done
  [[ -n ${T:-} && -d $T ]] || return 0
  for i in $(pgrep -f "shim-runc-v2 .*$T/"); do # shims outlive containerd: end those that name our own folder
    kill -KILL "$i" 2>/dev/null || true
  done
  awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do
    umount -l "$m" 2>/dev/null || true
  done
  [[ -n ${RM_KEEP:-} ]] && { rm_note "kept: $T"; return 0; }
  rm -rf --one-file-system "$T"
}

# rm_containerd [lazy-socket]: an own containerd under $T; sets CTR (array).
# CRI=1 turns the CRI image service on (what a kubelet talks to).
rm_containerd() {
  {
    printf 'version = 2\nroot = "%s/root"\nstate = "%s/state"\n' "$T" "$T"
    if [[ -n ${CRI:-} ]]; then
      printf 'disabled_plugins = ["io.containerd'
    else
      printf 'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd'
    fi
    printf '.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.erofs", "io.containerd.nri.v1.nri"]\n'
    printf '[grpc]\n  address = "%s/c.sock"\n' "$T"
    printf '[ttrpc]\n  address = "%s/t.sock"\n' "$T"
    if [[ -n ${CRI:-} ]]; then
      printf '[plugins."io.containerd.grpc.v1.cri"]\n  disable_tcp_service = true\n'
      printf '[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "overlayfs"\n'
      printf '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "%s/certs.d"\n' "$T"
    fi
    printf '%b' "${CONTAINERD_TOML:-}"
    if [[ -n ${1:-} ]]; then
      printf '[proxy_plugins.stargz]\n  type = "snapshot"\n  address = "%s"\n' "$1"
    fi
  } >"$T/containerd.toml"
  rm_spawn "$T/containerd.log" "$RM_CONTAINERD" --config "$T/containerd.toml" --log-level debug
  CTR=("$RM_CTR" --address "$T/c.sock" --namespace "${RM_NS:-mesh}")
  rm_await 60 "${CTR[@]}" version || { tail -5 "$T/containerd.log" >&2; return 1; }
}

# rm_hosts_toml DIR ORIGIN_NAME MIRROR_URL [UPSTREAM_URL] [SKIP_VERIFY]
rm_hosts_toml() {
  mkdir -p "$1/$2"
  {
    [[ -n ${4:-} ]] && printf 'server = "%s"\n' "$4"
    printf '[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$3"
    [[ -n ${RM_CA:-} ]] && printf '  ca = "%s"\n' "$RM_CA"
    [[ -n ${RM_CLIENT_CERT:-} ]] && printf '  client = [["%s", "%s"]]\n' "$RM_CLIENT_CERT" "$RM_CLIENT_KEY"
    [[ -n ${RM_SKIP_VERIFY:-} ]] && printf '  skip_verify = true\n'
    [[ -n ${RM_OVERRIDE_PATH:-} ]] && printf '  override_path = true\n'
    true
  } >"$1/$2/hosts.toml"
}

rm_now() { date +%s.%N; }
rm_since() { awk -v a="$1" -v b="$(rm_now)" 'BEGIN { printf "%.2f", b - a }'; }

# rm_wirelog UPSTREAM LOG: a wirelog.py before it, on a port of its own choice; sets `port`
rm_wirelog() {
  rm_spawn "$T/wirelog.log" python3 "$RM_KIT/wirelog.py" --listen 127.0.0.1:0 --upstream "$1" --log "$2" \
    ${RULES:+--rules "$RULES"}
  rm_await 60 grep -q '^port ' "$T/wirelog.log" || { tail -5 "$T/wirelog.log" >&2; return 1; }
  port=$(awk '/^port / { print $2; exit }' "$T/wirelog.log")
}
