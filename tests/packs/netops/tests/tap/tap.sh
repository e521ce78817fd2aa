# A few words of TAP 13; sourced by the tests beside it.

tests=0
failures=0

plan() {
  echo "TAP version 13"
  echo "1..$1"
}

# result STATUS DESCRIPTION: one line of TAP; a STATUS other than 0 is a failure, explained by $said
result() {
  tests=$((tests + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $tests - $2"
  else
    failures=$((failures + 1))
    echo "not ok $tests - $2"
    printf '  ---\n  said: "%s"\n  ...\n' "$(printf %s "$said" | tr '\n"' " '")"
  fi
}

# is EXPECTED ACTUAL DESCRIPTION
is() {
  said=$2
  if [ "$1" = "$2" ]; then result 0 "$3"; else result 1 "$3"; fi
}

skip() {
  tests=$((tests + 1))
  echo "ok $tests # SKIP $1"
}

finish() {
  [ "$failures" -eq 0 ] || exit 1
}
