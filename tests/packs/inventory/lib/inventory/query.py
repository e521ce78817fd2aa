"""Questions in a small language: `role=web env!=dev name~^db`, all of which must hold."""

import re
import shlex

_TERM = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(=|!=|~)(.*)$", re.DOTALL)


class QueryError(ValueError):
    """The question cannot be understood."""


def matching(hosts, question):
    """The hosts for which every term holds, in their order; no question matches all."""
    terms = [_term(word) for word in _words(question)]
    return [host for host in hosts if all(holds(host) for holds in terms)]


def _words(question):
    try:
        return shlex.split(question or "")
    except ValueError as error:
        raise QueryError("{!r}: {}".format(question, error))


def _term(word):
    match = _TERM.match(word)
    if not match:
        raise QueryError("{!r} is no term; write key=value, key!=value or key~pattern".format(word))
    key, operator, value = match.groups()
    if operator == "~":
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise QueryError("{!r} is no pattern: {}".format(value, error))
        return lambda host: pattern.search(host.get(key)) is not None
    wanted = value.split(",")
    if operator == "=":
        return lambda host: host.get(key) in wanted
    return lambda host: host.get(key) not in wanted
