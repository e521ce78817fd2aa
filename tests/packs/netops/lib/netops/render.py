"""Device configurations from templates in which `${name}` stands for a value."""

import re
import string


class RenderError(ValueError):
    """The template asks for something that nobody said."""


class _Template(string.Template):
    idpattern = r"[a-z][a-z0-9_.]*"


def render(template, values):
    """The text with all values in it. Every missing name is an error, and all of them are said at once."""
    known = dict(_flat(values))
    missing = sorted(name for name in names(template) if name not in known)
    if missing:
        raise RenderError("no value for {}".format(", ".join(missing)))
    for name, value in known.items():
        if re.search(r"[\r\n]", value):
            raise RenderError("{} has more than one line".format(name))
    try:
        return _Template(template).substitute(known)
    except ValueError as error:
        raise RenderError("the template is broken: {}".format(error))


def names(template):
    """All that a template asks for."""
    found = _Template.pattern.finditer(template)
    return {match.group("named") or match.group("braced") for match in found} - {None}


def _flat(values, before=""):
    """`{"dns": {"first": 1}}` is `dns.first`; lists are joined by blanks."""
    for key, value in values.items():
        if isinstance(value, dict):
            for item in _flat(value, before + key + "."):
                yield item
        else:
            yield before + key, " ".join(map(str, value)) if isinstance(value, list) else str(value)
