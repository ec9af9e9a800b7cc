#!/bin/bash
# scratch.sh COMMAND...: runs COMMAND with TMPDIR on a file system that nothing outlives.
#
# The tests start stores by the thousand, and each waits for its disk to have what it wrote (fsync). Here that is an ext4
# in an image without a journal and without barriers: the calls are made and answered as ever, only no disk is waited for.
# It is mounted in a mount namespace of its own and its image has no name: when the last process ends, however it ends,
# both are gone. Where that may not be done (not root, no loop devices), TMPDIR stays as it is.
set -euo pipefail

if [[ -z ${RM_SCRATCH:-} ]]; then
  [[ $(id -u) == 0 ]] && unshare -m true 2>/dev/null || exec "$@"
  RM_SCRATCH=${TMPDIR:-/tmp}/rm.$$ # podman and buildah make a reference of a path: no capitals
  mkdir "$RM_SCRATCH"
  trap 'rmdir "$RM_SCRATCH"' EXIT
  RM_SCRATCH=$RM_SCRATCH unshare -m "$0" "$@"
  exit
fi

image=$RM_SCRATCH.img
free=$(df --output=avail -B1 "$RM_SCRATCH" | tail -1)
if truncate -s $((free * 3 / 4)) "$image" && mkfs.ext4 -q -F -m 0 -O ^has_journal "$image" &&
  mount -o loop,nobarrier,noatime "$image" "$RM_SCRATCH"; then
  chmod 1777 "$RM_SCRATCH"
  export TMPDIR=$RM_SCRATCH
else
  echo "scratch.sh: no file system in an image here: the tests wait for the disk" >&2
fi
rm -f "$image"
unset RM_SCRATCH
exec "$@"
