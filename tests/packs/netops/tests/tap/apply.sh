#!/bin/sh
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
apply=$here/../../actions/apply_config.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

plan 10

echo one > new
is changed "$("$apply" new target)" "a first configuration"
is one "$(cat target)" "it is there"
is unchanged "$("$apply" new target)" "the same again"
is none "$([ -e target.before ] || echo none)" "nothing was before it"
echo two > new
is changed "$("$apply" new target)" "a second configuration"
is "two one" "$(cat target) $(cat target.before)" "the first one is kept"
: > new
is 4 "$("$apply" new target > said 2>&1; echo $?)" "an empty one is refused"
is two "$(cat target)" "and changes nothing"
is "new said target target.before " "$(ls -A | tr '\n' ' ')" "nothing else is left"
if [ "$(id -u)" -eq 0 ]; then
  skip "the superuser may write everywhere"
else
  mkdir locked && chmod 555 locked && echo three > new
  is 1 "$("$apply" new locked/target > said 2>&1; echo $?)" "a folder that cannot be written"
fi

finish
