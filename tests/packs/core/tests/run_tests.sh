#!/bin/sh
# Runs every action of this pack for real, in a folder of its own, and checks what it says and does.
set -u

here=$(cd "$(dirname "$0")" && pwd)
actions=$here/../actions
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

total=0 passed=0 failed=0
if [ -t 1 ]; then red=$(printf '\033[31m') green=$(printf '\033[32m') plain=$(printf '\033[0m'); else red='' green='' plain=''; fi

# run ACTION NAME=VALUE...: leaves stdout in $out, stderr in $err and the exit status in $status
run() {
  action=$1
  shift
  status=0
  env "$@" "$actions/$action.sh" > out.txt 2> err.txt || status=$?
  out=$(cat out.txt) err=$(cat err.txt)
}

# check NAME CONDITION...: one test
check() {
  name=$1
  shift
  total=$((total + 1))
  if "$@"; then
    passed=$((passed + 1))
    printf '%s  ok%s    %s\n' "$green" "$plain" "$name"
  else
    failed=$((failed + 1))
    printf '%s  FAIL%s  %s\n        status %s, stdout "%s", stderr "%s"\n' "$red" "$plain" "$name" "$status" "$out" "$err"
  fi
}

printed() { [ "$status" -eq 0 ] && [ "$out" = "$1" ]; }
refused() { [ "$status" -eq "$1" ] && [ -z "$out" ] && case $err in *"$2"*) true ;; *) false ;; esac; }
exists() { [ "$status" -eq 0 ] && [ -e "$1" ]; }
gone() { [ "$status" -eq 0 ] && [ ! -e "$1" ]; }

echo "echo"
run echo MESSAGE=hello
check "prints the message" printed hello
run echo MESSAGE='two  words; $HOME'
check "prints it as it is" printed 'two  words; $HOME'
run echo MESSAGE=-n REPEAT=2
check "prints it as often as wanted" printed "-n
-n"
run echo MESSAGE=hello UPPERCASE=true
check "prints it in capitals" printed HELLO
run echo MESSAGE=
check "refuses no message" refused 2 "parameter message is missing"
run echo MESSAGE=x REPEAT=many
check "refuses a number that is none" refused 2 "must be a number, not 'many'"
run echo MESSAGE=x UPPERCASE=yes
check "refuses a flag that is none" refused 2 "must be true or false"

echo "checksum"
printf abc > abc
sum=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
run checksum FILE=abc
check "prints the sum" printed "$sum"
run checksum FILE=abc EXPECTED="sha256:$sum"
check "accepts the right sum" printed ok
run checksum FILE=abc EXPECTED="$(printf %s "$sum" | tr a-f A-F)"
check "accepts capitals" printed ok
run checksum FILE=abc EXPECTED="0${sum#?}"
check "refuses another content" refused 3 "has the checksum $sum"
run checksum FILE=abc EXPECTED=abc123
check "refuses what is no sum" refused 2 "is no SHA-256"
run checksum FILE=none
check "refuses a file that is not there" refused 4 "no such file: none"

echo "disk_usage"
run disk_usage INPUT="$here/data/df.txt"
check "names what is nearly full" printed '{"mounted_on": "/", "used_percent": 95, "free_kb": 2057636}
{"mounted_on": "/mnt/old backups", "used_percent": 90, "free_kb": 1048576}'
run disk_usage INPUT="$here/data/df.txt" THRESHOLD=96
check "leaves memory out" printed ''
mkdir bin
printf '#!/bin/sh\n[ "$1" = -P ] && cat "%s"\n' "$here/data/df.txt" > bin/df
chmod +x bin/df
run disk_usage THRESHOLD=95 PATH="$work/bin:$PATH"
check "asks df by default" printed '{"mounted_on": "/", "used_percent": 95, "free_kb": 2057636}'
run disk_usage THRESHOLD=101
check "refuses more than all" refused 2 "at most 100"

echo "retry"
run retry COMMAND='echo x >> tried; [ "$(wc -l < tried)" -ge 3 ]' DELAY_S=0
check "tries until it succeeds" test "$(wc -l < tried)" -eq 3 -a "$status" -eq 0
run retry COMMAND='exit 7' ATTEMPTS=2 DELAY_S=0
check "gives up with the last status" refused 7 "given up after 2 attempts"
run retry COMMAND=true ATTEMPTS=0
check "refuses no attempt" refused 2 "at least 1"

echo "rotate"
mkdir logs
for day in 01 02 03 04 05; do : > "logs/2026-01-$day.log"; done
: > "logs/keep me.txt"
ln -s 2026-01-05.log logs/2026-01-00.log
run rotate FOLDER=logs PATTERN='*.log' KEEP=2 DRY_RUN=true
check "says what it would remove" printed "removed 2026-01-01.log
removed 2026-01-02.log
removed 2026-01-03.log
kept 2"
check "and removes nothing" exists logs/2026-01-01.log
run rotate FOLDER=logs PATTERN='*.log' KEEP=2
check "removes the oldest" gone logs/2026-01-03.log
check "keeps the newest" exists logs/2026-01-04.log
check "keeps what the pattern leaves out" exists "logs/keep me.txt"
check "does not count links" exists logs/2026-01-00.log
run rotate FOLDER=logs KEEP=0
check "never empties a folder" refused 2 "never empties a folder"
run rotate FOLDER=logs PATTERN='../*'
check "never leaves the folder" refused 2 "must not leave the folder"
run rotate FOLDER=none
check "refuses a folder that is not there" refused 4 "no such folder"

echo
printf 'Total Tests: %d\n' "$total"
printf 'Passed: %s%d%s\n' "$green" "$passed" "$plain"
printf 'Failed: %s%d%s\n' "$red" "$failed" "$plain"
[ "$failed" -eq 0 ]
