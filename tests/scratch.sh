#!/bin/bash
# scratch.sh COMMAND...: runs COMMAND with TMPDIR on a file system that nothing outlives.
#
# The tests start stores by the thousand, and each waits for its disk to have what it wrote (fsync). Here that is an ext4
# in an image without a journal and without barriers: the calls are made and answered as ever, only no disk is waited for.
# It is mounted in a mount namespace of its own and its image has no name: when the last process ends, however it ends,
# both are gone. Where that may not be done (not root, no loop devices), TMPDIR stays as it is. COMMAND takes the place of
# this script, so signals are its own.
set -euo pipefail

if [[ -z ${RM_SCRATCH:-} ]]; then
  [[ $(id -u) == 0 ]] && unshare -m true 2>/dev/null || exec "$@"
  export RM_SCRATCH=${TMPDIR:-/tmp}/rm.$SRANDOM # podman and buildah make a reference of a path: no capitals
  mkdir "$RM_SCRATCH"
  # The folder goes when COMMAND ends, which holds the other end of this pipe.
  exec {held}> >(trap '' HUP INT TERM; exec >/dev/null 2>&1; cat; rm -rf --one-file-system "$RM_SCRATCH")
  exec unshare -m "$0" "$@"
fi

exec {below}<"$RM_SCRATCH" # what is mounted there hides the image
free=$(df --output=avail -B1 "$RM_SCRATCH" | tail -1)
if truncate -s $((free * 3 / 4)) "$RM_SCRATCH/image" && mkfs.ext4 -q -F -m 0 -O ^has_journal "$RM_SCRATCH/image" &&
  mount -o loop,nobarrier,noatime "$RM_SCRATCH/image" "$RM_SCRATCH"; then
  chmod 1777 "$RM_SCRATCH"
  export TMPDIR=$RM_SCRATCH
else
  echo "scratch.sh: no file system in an image here: the tests wait for the disk" >&2
fi
rm -f "/proc/self/fd/$below/image"
exec {below}<&-
unset RM_SCRATCH
exec "$@"
