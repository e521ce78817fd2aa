"""What lies in the packs directory and was not read, or not yet: why that is, and when it will be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.failures import Code, Failure
from packd.domain.printing import typed
from packd.flow.unknown import no_such_pack
from packd.registry import queries

if TYPE_CHECKING:
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.settling import Settling
    from packd.flow.space import Space
    from packd.registry.registry import Registry


class Unread:
    """For drops of which the registry knows nothing, or nothing new."""

    def __init__(self, *, registry: Registry, folder: PacksFolder, settling: Settling, space: Space) -> None:
        self._registry = registry
        self._folder = folder
        self._settling = settling
        self._space = space

    def why(self, name: str) -> str | None:
        """A sentence without its full stop, for what is not on record, drop or not; None when nothing lies there."""
        if not self._folder.has_drop(name):
            ignored = self._folder.why_ignored(name)
            return None if ignored is None else f"'{name}' lies in the packs directory and {ignored}"
        why = self._is_of(name) or self.being_written(name) or self._read(name) or self._put_off()
        why = why or "is about to be read"
        return f"'{name}' lies in the packs directory and {why}"

    def no_such(self, name: str) -> Failure:
        """NOT_FOUND for a name that no pack has, which may be that of a drop that was not read yet."""
        why = self.why(name)
        if why is not None:
            return Failure(Code.NOT_FOUND, why)
        with self._registry.read() as connection:
            return no_such_pack(connection, name)

    def being_written(self, name: str) -> str | None:
        """What is said of a drop that has not settled, e.g. "is still being written to: …"; None when it has."""
        if self._settling.is_open(name):
            return (
                "is still open in the program that writes it: it is read when that closes it, or after `longest_wait_s`"
            )
        quiet_s = self._settling.quiet_s(name)
        if quiet_s is None:
            return None
        return f"is still being written to: it is read when nothing was written for {quiet_s:.3g} s"

    def _is_of(self, name: str) -> str | None:
        """Of a drop that was read: which pack it is."""
        with self._registry.read() as connection:
            pack = queries.pack_of_drop(connection, name)
        return None if pack is None else f"is the pack '{pack.ref}', by which it is named"

    def _read(self, name: str) -> str | None:
        """Of a drop that nobody will look at before it changes, or somebody asks for that."""
        with self._registry.read() as connection:
            drop = queries.drop(connection, name)
        if drop is not None and drop.held:
            return f"is left alone, as an operator removed its pack: `packd retry {typed(name)}` takes it again"
        return f"was refused: see `packd why {typed(name)}`" if drop is not None and drop.problems else None

    def _put_off(self) -> str | None:
        shortage = self._space.shortage()
        return None if shortage is None else f"was not read yet: {shortage}"
