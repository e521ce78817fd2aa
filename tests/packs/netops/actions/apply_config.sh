#!/bin/sh
# Puts a configuration in its place: `apply_config.sh NEW TARGET`. The one before is kept as TARGET.before.
# Prints changed or unchanged.
set -eu

[ $# -eq 2 ] || { echo "usage: apply_config.sh NEW TARGET" >&2; exit 2; }
new=$1 target=$2
[ -s "$new" ] || { echo "apply_config: $new is empty or not there" >&2; exit 4; }

if [ -f "$target" ] && cmp -s "$new" "$target"; then
  echo unchanged
  exit 0
fi

umask 077
fresh=$(mktemp "$(dirname "$target")/.apply.XXXXXX")
trap 'rm -f "$fresh"' EXIT
cat "$new" > "$fresh"
if [ -f "$target" ]; then
  cp -p "$target" "$target.before"
fi
mv "$fresh" "$target"
echo changed
