#!/bin/sh
# Compares a file with its SHA-256. Exit status 3: another content.
set -eu
. "$(dirname "$0")/lib/params.sh"

required FILE
[ -f "$FILE" ] || fail "no such file: $FILE" 4

actual=$(sha256sum < "$FILE")
actual=${actual%% *}
if [ -z "${EXPECTED:-}" ]; then
  printf '%s\n' "$actual"
  exit 0
fi

expected=$(printf %s "${EXPECTED#sha256:}" | tr '[:upper:]' '[:lower:]')
case $expected in
  *[!0-9a-f]*) fail "the parameter expected is no SHA-256" ;;
esac
[ "${#expected}" -eq 64 ] || fail "the parameter expected is no SHA-256"
[ "$actual" = "$expected" ] || fail "$FILE has the checksum $actual" 3
printf 'ok\n'
