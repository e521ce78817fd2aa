#!/bin/sh
# Prints a message.
set -eu
. "$(dirname "$0")/lib/params.sh"

required MESSAGE
number REPEAT 1
flag UPPERCASE

if [ "$UPPERCASE" = true ]; then
  MESSAGE=$(printf %s "$MESSAGE" | tr '[:lower:]' '[:upper:]')
fi
while [ "$REPEAT" -gt 0 ]; do
  printf '%s\n' "$MESSAGE"
  REPEAT=$((REPEAT - 1))
done
