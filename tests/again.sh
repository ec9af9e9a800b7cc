#!/bin/bash
# again.sh COMMAND...: runs COMMAND, and where it fails again after 5, 10, 20 and 40 seconds ($RM_PAUSES): for what is
# fetched over a network that may break off, and for apt, which another may keep from its lists.
for pause in ${RM_PAUSES-5 10 20 40}; do
  "$@" && exit
  echo "exit $?, and again in $pause s: $1" >&2
  sleep "$pause"
done
exec "$@"
