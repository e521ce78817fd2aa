#!/bin/sh
# Judges the summary of `ping -q`. INPUT: a file with it, otherwise stdin. MAX_MS and MAX_LOSS are the limits.
# Prints JSON. Exit status 0: good; 3: too slow or too much lost; 2: that was no summary.
set -eu

exec awk -v max_ms="${MAX_MS:-50}" -v max_loss="${MAX_LOSS:-0}" '
  /^PING / { host = $2 }
  / packets transmitted, / {
    for (field = 1; field <= NF; field++)
      if ($field ~ /^[0-9.]+%$/) { loss = $field; sub(/%/, "", loss); has_loss = 1 }
  }
  /^(rtt|round-trip) / { split($0, halves, " = "); split(halves[2], times, "/"); average = times[2]; has_average = 1 }
  END {
    if (!has_loss) { print "latency: this is no summary of ping" > "/dev/stderr"; exit 2 }
    good = loss + 0 <= max_loss + 0 && has_average && average + 0 <= max_ms + 0
    printf "{\"host\": \"%s\", \"loss_percent\": %s, \"average_ms\": %s, \"good\": %s}\n",
      host, loss + 0, has_average ? average + 0 : "null", good ? "true" : "false"
    exit good ? 0 : 3
  }' "${INPUT:--}"
