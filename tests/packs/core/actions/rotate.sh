#!/bin/sh
# Keeps the KEEP last files of a folder by name (names with a date sort by age) and removes the others.
set -eu
. "$(dirname "$0")/lib/params.sh"

required FOLDER
number KEEP 7
flag DRY_RUN
PATTERN=${PATTERN:-*}

[ -d "$FOLDER" ] || fail "no such folder: $FOLDER" 4
[ "$KEEP" -ge 1 ] || fail "the parameter keep must be at least 1: this action never empties a folder"
case $PATTERN in
  */*) fail "the parameter pattern must not leave the folder" ;;
esac

LC_ALL=C
export LC_ALL
set --
for file in "$FOLDER"/$PATTERN; do
  [ -f "$file" ] && [ ! -L "$file" ] && set -- "$@" "$file"
done

while [ $# -gt "$KEEP" ]; do
  [ "$DRY_RUN" = true ] || rm -f -- "$1"
  printf 'removed %s\n' "${1##*/}"
  shift
done
printf 'kept %d\n' "$#"
