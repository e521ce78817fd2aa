#!/bin/sh
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
latency=$here/../../actions/latency.sh

# judged FILE NAME=VALUE...: "<exit status> <what it printed>"
judged() {
  file=$here/data/$1
  shift
  status=0
  printed=$(env INPUT="$file" "$@" "$latency" 2>&1) || status=$?
  echo "$status $printed"
}

plan 8

is '0 {"host": "gw.example", "loss_percent": 0, "average_ms": 12.345, "good": true}' \
  "$(judged good.txt MAX_MS=50)" "a good link"
is '3 {"host": "gw.example", "loss_percent": 0, "average_ms": 12.345, "good": false}' \
  "$(judged good.txt MAX_MS=12)" "a link that is too slow"
is '0 {"host": "gw.example", "loss_percent": 0, "average_ms": 12.345, "good": true}' \
  "$(judged good.txt MAX_MS=12.345)" "the limit itself is good"
is '3 {"host": "far.example", "loss_percent": 20, "average_ms": 180.5, "good": false}' \
  "$(judged lossy.txt MAX_MS=500)" "a link that loses too much"
is '0 {"host": "far.example", "loss_percent": 20, "average_ms": 180.5, "good": true}' \
  "$(judged lossy.txt MAX_MS=500 MAX_LOSS=25)" "unless that is allowed"
is '3 {"host": "gone.example", "loss_percent": 100, "average_ms": null, "good": false}' \
  "$(judged gone.txt MAX_LOSS=100)" "a link that is gone has no time"
is '2 latency: this is no summary of ping' \
  "$(judged ../tap.sh)" "something else"
is '{"host": "gw.example", "loss_percent": 0, "average_ms": 12.345, "good": true}' \
  "$("$latency" < "$here/data/good.txt")" "stdin will do"

finish
