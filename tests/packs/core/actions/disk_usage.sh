#!/bin/sh
# Prints one JSON object for every file system that is at least THRESHOLD percent full.
# INPUT: a file with the output of `df -P` instead of this machine's own.
set -eu
. "$(dirname "$0")/lib/params.sh"

number THRESHOLD 90
[ "$THRESHOLD" -le 100 ] || fail "the parameter threshold must be at most 100"

report() {
  if [ -n "${INPUT:-}" ]; then
    [ -f "$INPUT" ] || fail "no such file: $INPUT" 4
    cat "$INPUT"
  else
    df -P
  fi
}

report | awk -v threshold="$THRESHOLD" '
  NR > 1 && $5 ~ /^[0-9]+%$/ && $1 !~ /^(tmpfs|devtmpfs|overlay)$/ {
    used = $5
    sub(/%/, "", used)
    if (used + 0 >= threshold) {
      where = $6
      for (field = 7; field <= NF; field++) where = where " " $field
      gsub(/\\/, "\\\\", where)
      gsub(/"/, "\\\"", where)
      printf "{\"mounted_on\": \"%s\", \"used_percent\": %d, \"free_kb\": %d}\n", where, used, $4
    }
  }'
