"""Text that a terminal can be given, whatever a pack wrote into it and whatever its files are called."""

from __future__ import annotations

import shlex
from typing import Final

from packd.domain.clipping import sayable

# Control characters move the cursor, change colours or rename the window; the bidirectional ones reorder what is read.
_UNSAFE: Final = {
    code: "�"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
    if code not in (0x09, 0x0A)
}


def clean(text: str) -> str:
    """Several lines that a terminal can be given."""
    return sayable(text).replace("\r\n", "\n").translate(_UNSAFE)


def typed(name: str) -> str:
    """A name as one types it in a shell, as the last argument, where it may begin like an option.

    >>> typed("My Pack"), typed("-v")
    ("'My Pack'", '-- -v')
    """
    return f"-- {quoted(name)}" if name.startswith("-") else quoted(name)


def quoted(name: str) -> str:
    """A name as one types it in a shell; what can't be typed by its bytes, as bash and zsh take them.

    >>> quoted("My Pack"), quoted("caf\\udce9")
    ("'My Pack'", "$'caf\\\\xe9'")
    """
    if name.isprintable():
        return shlex.quote(name)
    content = name.encode("utf-8", "surrogateescape")
    plain = (chr(byte) if chr(byte).isalnum() and byte < 0x80 else f"\\x{byte:02x}" for byte in content)
    return f"$'{''.join(plain)}'"
