"""Watch places with inotify.

Layer: git. Linux only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping

from gitlimmat.git import inotify
from gitlimmat.git.inotify import Event, Inotify
from gitlimmat.git.places import CHANGES, NOTHING, How, Meaning, News, Place, directories_below

_SELF = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLY_DIRECTORY
_CAME = inotify.CREATE | inotify.MOVED_TO
_LEFT = inotify.DELETE | inotify.MOVED_FROM
_ENTRIES = _SELF | _CAME | _LEFT | inotify.CLOSE_WRITE
_TRIES = 5


class Watches:
    """The watches of all places. To be closed."""

    def __init__(self) -> None:
        """Raises: OSError when the kernel has no inotify, or none left."""
        self._kernel = Inotify()
        self.fd = self._kernel.fd
        self.is_complete = True  # no place is hidden from us
        self._places: dict[str, Place] = {}
        self._paths: dict[int, str] = {}
        self._numbers: dict[str, int] = {}

    def close(self) -> None:
        """Stop watching."""
        self._kernel.close()

    def watch(self, survey: Callable[[], Mapping[str, Place]]) -> News:
        """Watch the places that `survey` finds, and return what may have changed at those that are new.

        Nothing is missed: after the watches were made, the same places are found again.

        Raises: OSError when there cannot be so many watches (ENOSPC).
        """
        news = NOTHING
        places = survey()
        for _ in range(_TRIES):
            news |= self._set(places)
            before, places = places, survey()
            if places == before:
                break
        return news

    def take(self) -> Meaning:
        """Return what the events since the last call mean together.

        Raises: OSError when there cannot be so many watches (ENOSPC).
        """
        news, look_again = NOTHING, False
        for event in self._kernel.read():
            if event.mask & inotify.OVERFLOW:
                news, look_again = CHANGES, True
                continue
            path = self._paths.get(event.watch)
            if path is None:
                continue
            if event.mask & (_SELF | inotify.IGNORED | inotify.UNMOUNT):
                look_again |= self._lose(event, path)
                continue
            found = self._meaning(event, path)
            if found.grows:
                self._grow(f"{path}/{os.fsdecode(event.name)}")
            news |= found.news
            look_again |= found.look_again
        return Meaning(news, look_again)

    def _meaning(self, event: Event, path: str) -> Meaning:
        name = os.fsdecode(event.name)
        how = How.CAME if event.mask & _CAME else How.LEFT if event.mask & _LEFT else How.WRITTEN
        found = self._places[path].meaning(name, how, is_directory=bool(event.mask & inotify.IS_DIRECTORY))
        if found.news and event.mask & inotify.CREATE and _is_being_written(f"{path}/{name}"):
            return Meaning(look_again=found.look_again)  # told when it is complete
        return found

    def _lose(self, event: Event, path: str) -> bool:
        """Note that a directory is not where it was; return whether that changes more than the directory."""
        is_branch_of_refs = bool(self._places[path].rest) and not self._places[path].parts
        if event.mask & inotify.IGNORED:
            del self._paths[event.watch]
            if self._numbers.get(path) == event.watch:
                del self._numbers[path]
                del self._places[path]
        return not is_branch_of_refs or bool(event.mask & inotify.MOVE_SELF)

    def _grow(self, top: str) -> None:
        for path in directories_below(top):
            self._add(path, Place(rest=News.REFS))

    def _set(self, places: Mapping[str, Place]) -> News:
        news = NOTHING
        self.is_complete = True
        for path, place in places.items():
            news |= self._add(path, place)
        for path in [path for path in self._places if path not in places]:
            self._places.pop(path)
            number = self._numbers.pop(path)
            if self._paths.get(number) == path:
                del self._paths[number]
                self._kernel.remove(number)
        return news

    def _add(self, path: str, place: Place) -> News:
        """Watch one place, which may have been watched before; return what may have changed there."""
        try:
            number = self._kernel.add(os.fsencode(path), _ENTRIES if place.has_entries else _SELF)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return NOTHING  # the next survey will not have it
            if error.errno in (errno.EACCES, errno.EPERM):
                self.is_complete &= not place.has_entries
                return NOTHING
            raise
        before = self._numbers.get(path, number)
        if before != number:  # another directory has taken its place
            self._paths.pop(before, None)
            self._kernel.remove(before)
        is_known = number in self._paths and self._places.get(path) == place
        self._paths[number], self._numbers[path], self._places[path] = path, number, place
        return NOTHING if is_known else place.news


def _is_being_written(path: str) -> bool:
    """Whether a new name is that of a file which is about to be written and closed, not of a finished one."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
