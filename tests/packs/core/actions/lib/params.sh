# Parameters are environment variables; these functions check them. Sourced by every action.

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit "${2:-2}"
}

# required NAME: the parameter must be there and must not be empty
required() {
  eval "_value=\${$1:-}"
  [ -n "$_value" ] || fail "the parameter $(printf %s "$1" | tr '[:upper:]' '[:lower:]') is missing"
}

# number NAME DEFAULT: the parameter must be a whole number; sets the default when it is missing
number() {
  eval "_value=\${$1:-$2}"
  case $_value in
    '' | *[!0-9]*) fail "the parameter $(printf %s "$1" | tr '[:upper:]' '[:lower:]') must be a number, not '$_value'" ;;
  esac
  eval "$1=\$_value"
}

# flag NAME: true or false; sets false when it is missing
flag() {
  eval "_value=\${$1:-false}"
  case $_value in
    true | false) eval "$1=\$_value" ;;
    *) fail "the parameter $(printf %s "$1" | tr '[:upper:]' '[:lower:]') must be true or false, not '$_value'" ;;
  esac
}
