#!/bin/bash
# stargz-pull.sh MIRROR_URL ORIGIN_NAME IMAGE
#   stargz-pull.sh http://127.0.0.1:5001 registry.example team/app:esgz
# Lazy pull: an own containerd and an own stargz snapshotter (lazyfsd), both in a
# temporary folder and both led to the mirror by the same hosts.toml; the image
# is pulled without its layers, run with runc over FUSE, and the bytes that
# crossed the wire are counted at each step. Prints one JSON line. Environment:
#   UPSTREAM, LOG, RULES  as in containerd-pull.sh
#   BACKGROUND=n   let the snapshotter fetch the rest in the background, and wait
#                  until n bytes were read and no more are
#   STARGZ_TOML    a file with stargz settings (default: its defaults, with the
#                  background fetch off unless BACKGROUND=n)
#   MIRRORS=1      lead it by its own [resolver.host] mirrors, not by hosts.toml
#   ARGS='...'     what to run, quoted as for a shell (default: the image's own command)
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"
mirror=${1:?mirror URL} origin=${2:?origin name} image=${3:?image}
rm_build_lazyfsd
rm_workdir
log=${LOG:-$T/wire.jsonl}
: >"$log"
rm_wirelog "$mirror" "$log"
rm_hosts_toml "$T/certs.d" "$origin" "http://127.0.0.1:$port" "${UPSTREAM:-http://127.0.0.1:9}"
if [[ -n ${STARGZ_TOML:-} ]]; then
  cp "$STARGZ_TOML" "$T/lazy.toml"
else
  [[ -n ${BACKGROUND:-} ]] && echo 'no_background_fetch = false' >"$T/lazy.toml" || echo 'no_background_fetch = true' >"$T/lazy.toml"
fi
lead=(-certs-d "$T/certs.d")
if [[ -n ${MIRRORS:-} ]]; then
  printf '[[resolver.host."%s".mirrors]]\nhost = "127.0.0.1:%s"\ninsecure = true\n' "$origin" "$port" >>"$T/lazy.toml"
  lead=()
fi
rm_spawn "$T/lazy.log" "$RM_LAZYFSD" -socket "$T/l.sock" -root "$T/lazy" -config "$T/lazy.toml" "${lead[@]}" -log-level debug
rm_await 60 test -S "$T/l.sock" || { tail -5 "$T/lazy.log" >&2; exit 1; }
rm_containerd "$T/l.sock"
remote=(ctr-remote --address "$T/c.sock" --namespace mesh)
ref=$origin/$image fail=0
bytes() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])["bytes"])' "$1"; }
count() { python3 "$RM_KIT/wirelog.py" --sum "$log"; }
t=$(rm_now)
"${remote[@]}" images rpull --hosts-dir "$T/certs.d" "$ref" >"$T/pull.log" 2>&1 || { fail=1; tail -4 "$T/pull.log" >&2; }
pull_secs=$(rm_since "$t")
pulled=$(count)
lazy=$(awk -v t="$T/" 'index($2, t) == 1 && $3 ~ /^fuse/ { n++ } END { print n + 0 }' /proc/mounts)
ran= run_secs=0
eval "args=(${ARGS:-})"
if [[ $fail == 0 ]]; then
  t=$(rm_now)
  ran=$("${remote[@]}" run --rm --snapshotter stargz "$ref" "r$$" "${args[@]}" 2>&1 | tr -d '\r' | tail -1) || fail=1
  run_secs=$(rm_since "$t")
fi
run=$(count)
end=$(count)
if [[ -n ${BACKGROUND:-} ]]; then # until so much was read, and the count stands still
  for _ in $(seq 40); do
    last=$end
    sleep 3
    end=$(count)
    [[ $end == "$last" ]] && (($(bytes "$end") >= BACKGROUND)) && break
  done
fi
python3 - <<PY
import json
p, r, e = (json.loads(x) for x in ("""$pulled""", """$run""", """$end"""))
print(json.dumps({"client": "stargz-snapshotter 0.12 + ctr-remote", "ref": "$ref", "ok": not $fail, "pull_seconds": $pull_secs,
  "run_seconds": $run_secs, "fuse_mounts": $lazy, "bytes_after_pull": p["bytes"], "bytes_after_run": r["bytes"],
  "bytes_at_end": e["bytes"], "requests": e["requests"], "connections": e["connections"],
  "max_inflight": e["max_inflight"], "by": e["by"], "ran": """$ran"""}))
PY
[[ -n ${LAZY_LOG:-} ]] && cp "$T/lazy.log" "$LAZY_LOG"
exit $fail
