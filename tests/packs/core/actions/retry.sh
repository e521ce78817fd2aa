#!/bin/sh
# Runs a command line until it succeeds; its own exit status is the last one of the command.
set -eu
. "$(dirname "$0")/lib/params.sh"

required COMMAND
number ATTEMPTS 3
number DELAY_S 1
[ "$ATTEMPTS" -ge 1 ] || fail "the parameter attempts must be at least 1"

attempt=1
while :; do
  status=0
  sh -c "$COMMAND" || status=$?
  [ "$status" -ne 0 ] || exit 0
  if [ "$attempt" -ge "$ATTEMPTS" ]; then
    printf 'given up after %d attempts\n' "$attempt" >&2
    exit "$status"
  fi
  attempt=$((attempt + 1))
  [ "$DELAY_S" -eq 0 ] || sleep "$DELAY_S"
done
