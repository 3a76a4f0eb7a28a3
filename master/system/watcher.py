"""The watcher: a child of the master, with `reload` only, that tells when files of the application change.

It looks into the directories of the application, and at the single files that it is told of. The kernel says where
something happened (watchfiles); whether a file is another one now is seen by its time, size and number, so that saves
of every kind count once: in place, by a rename, or many by one `git checkout`.
Directories are watched, each for itself, for a file that is replaced by a rename is another one; symbolic links are
followed, once each.
Can go wrong: the kernel has no watches left (ENOSPC): told, and files are looked at by turns instead. A directory may
not be read: told. Whoever has neither is told, and nothing is watched.
"""

import contextlib
import math
import os
import platform
import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from forkful.master.policy.watched import Rules
from forkful.worker.ipc import messages, reload_messages
from forkful.worker.ipc.channel import Channel

_STEP: Final = 15  # ms in which no more changes come, for those that came to be told
_LONGEST: Final = 300  # ms that they are waited for
_QUIET: Final = 0.1  # seconds, where several files have changed: a checkout writes many
_TOLD: Final = 20  # names of files
_MOST: Final = 50_000  # files and directories of the application's roots
_PAUSE: Final = 300  # ms between two looks, where the kernel tells nothing
_COARSE: Final = 0.01  # seconds that the clock of files may be behind
_SHARE: Final = 10  # times as long as a look takes, at least: it is to cost a tenth of a CPU at most
_SIGNS: Final = ("limit", "No space left", "Too many open files")  # of errors that have no number
_LIMIT: Final = "the limit of inotify is reached (sysctl fs.inotify.max_user_watches or max_user_instances): raise it"

Seen = tuple[int, int, int] | None  # its time, size and number; None: there is no such file


def run(channel: Channel, rules: Rules, since: float) -> int:
    """Be the watcher until the master is gone; what has changed `since` then (Unix time) is told at once."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # the master ends this child, by the end of the channel
    Watcher(channel, rules, since).run()
    return 0


def prepare() -> None:
    """Import what this child needs, which the master does without. What is wrong with it is told later."""
    with contextlib.suppress(ImportError):
        import watchfiles  # noqa: F401, PLC0415  # 100 ms that only this child pays for


class Watcher:
    """What it knows: the files that count and how they were, and in which directories it is told of changes."""

    def __init__(self, channel: Channel, rules: Rules, since: float = math.inf) -> None:
        self._channel = channel
        self._since = (since - _COARSE) * 1e9
        self._rules = rules
        self._named: set[str] = {*rules.settings, *rules.extra}
        self._files: dict[str, Seen] = {}
        self._links: dict[str, set[str]] = {}  # what leads to a file that is elsewhere, by that
        self._walked: set[str] = set()
        self._directories: set[str] = set()
        self._told: set[str] = set()
        self._round: _Round | None = None
        self._came: queue.SimpleQueue[set[str]] = queue.SimpleQueue()
        self._bell, self._ringer = socket.socketpair()
        self._polling = _is_polling(os.environ)
        said = os.environ.get("WATCHFILES_POLL_DELAY_MS", "")
        self._every = float(said) if said.isdigit() else _PAUSE
        self._took = 0.0  # ms, the last look

    def run(self) -> None:
        missed = self._look_around()
        self._channel.send(reload_messages.Watching(len(self._directories)))
        self._hear(dict.fromkeys(missed))
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        while not self._channel.closed:
            is_their_turn = not poll.poll(self._pause())
            changed: dict[str, None] = {}
            for message in self._channel.receive(messages.TO_WATCHER):
                if isinstance(message, reload_messages.Imported):
                    self._named |= {f"{folder}/{name}" for folder, names in message.files.items() for name in names}
                    is_their_turn = True
            if is_their_turn:
                changed |= dict.fromkeys(self._look_around())
            self._hear(changed)
        if self._round is not None:
            self._round.over.set()
            self._round.join()
        self._bell.close()
        self._ringer.close()

    def _pause(self) -> float | None:
        """Until files are looked at again, in ms, by turns; None: the kernel tells."""
        return max(self._every, self._took * _SHARE) if self._polling else None

    # -- where to look -----------------------------------------------------------------------------------------------

    def _look_around(self) -> list[str]:
        """See to it that every place is watched; return the files that were others, or not there, the last time."""
        before, began = self._files, time.monotonic()
        found = self._found()
        while (directories := self._places()) != self._directories:
            self._directories = directories
            self._watch()
            found = self._found()  # once more: what has happened in between
        self._files = found
        self._took = (time.monotonic() - began) * 1e3
        if not before:  # nobody watched while this process came to be
            return [path for path, seen in found.items() if seen is not None and seen[0] >= self._since]
        news = [path for path, seen in found.items() if seen != before.get(path, seen)]
        news += [path for path, seen in before.items() if path not in found and seen is not None]
        return news + [path for path in found.keys() - before.keys() if path not in self._named]

    def _places(self) -> set[str]:
        places = {*self._rules.all_roots, *self._walked}
        for path in (*self._named, *self._links):  # also where a file is not yet
            places.add(path.rpartition("/")[0] or "/")
        found = {place for place in places if Path(place).is_dir()}
        for place in [place for place in found if not os.access(place, os.R_OK)]:
            self._tell(f"{place} cannot be watched: it may not be read")
            found.remove(place)
        return found

    def _found(self) -> dict[str, Seen]:
        self._walked, self._links = set(), {}
        found: dict[str, Seen] = {}
        for path in self._below(self._rules.all_roots):
            if len(found) >= _MOST:
                self._tell(f"more than {_MOST} files are there: the rest is not watched; see --reload-exclude")
                break
            found[path] = _seen(path)
        for path in self._named:
            found[path] = _seen(path)
            self._link(path)
        return found

    def _below(self, roots: Iterable[str]) -> Iterator[str]:
        """The files below roots that count. A directory that is there twice, by links, is looked into once."""
        waiting, known = [*roots], set[str]()
        while waiting and len(self._walked) < _MOST:
            place = waiting.pop()
            if (real := os.path.realpath(place)) in known:
                continue
            known.add(real)
            try:
                entries = [*os.scandir(place)]
            except OSError as error:
                if isinstance(error, PermissionError):
                    self._tell(f"{place} cannot be watched: it may not be read")
                continue
            self._walked.add(place)
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir():
                        if self._rules.enters(entry.path) and not Path(entry.path, "pyvenv.cfg").exists():
                            waiting.append(entry.path)
                    elif self._rules.counts(entry.path):
                        if entry.is_symlink():
                            self._link(entry.path)
                        yield entry.path

    def _link(self, path: str) -> None:
        if (real := os.path.realpath(path)) != path:
            self._links.setdefault(real, set()).add(path)

    def _watch(self) -> None:
        """By a new round; the one before goes on until this one sees all."""
        if self._polling:  # by ourselves: the library's own way takes two saves in one second for one
            return
        before = self._round
        try:
            self._round = _Round(sorted(self._directories), self._came, self._ringer)
        except FileNotFoundError:  # one of them is gone meanwhile
            self._directories = set()
        except Exception as error:  # noqa: BLE001  # the library's own have no class
            self._failed(error)
        else:
            self._round.start()
        if before is not None and before is not self._round:
            before.over.set()

    def _failed(self, error: Exception) -> None:
        text = str(error)
        if not self._polling and any(sign in text for sign in _SIGNS):
            self._tell(f"{_LIMIT}. Until then files are looked at by turns ({text})")
            self._polling = True
        else:
            self._tell(f"files are not watched: {type(error).__name__}: {text}")

    # -- what happens ------------------------------------------------------------------------------------------------

    def _hear(self, changed: dict[str, None]) -> None:
        """Take what rounds saw, and tell of it."""
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096, socket.MSG_DONTWAIT)
        for paths in self._coming(changed):
            for path in paths:
                changed |= dict.fromkeys(self._changed(path))
        if changed:
            files = sorted(changed)
            settings = any(path in self._rules.settings for path in files)
            self._channel.send(reload_messages.Changed(tuple(files[:_TOLD]), max(0, len(files) - _TOLD), settings))

    def _coming(self, changed: dict[str, None]) -> Iterator[set[str]]:
        """What has come; where several files have changed, also what still does."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._came.get(timeout=_QUIET) if len(changed) > 1 else self._came.get_nowait()

    def _changed(self, path: str) -> Iterator[str]:
        """The files that are others now, of what something happened to."""
        if Path(path).is_dir():
            if path in self._directories or self._rules.enters(path):
                self._directories.discard(path)  # it is another of that name now, and nobody watches it
                yield from self._look_around()
            return
        for known in {path, *self._links.get(path, ())}:
            if known in self._named or self._rules.counts(known):
                seen = _seen(known)
                if seen != self._files.get(known):
                    self._files[known] = seen
                    yield known
                    if Path(known).is_symlink():
                        self._look_around()

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            self._channel.send(reload_messages.Unwatched(messages.cut(why)))


def _is_polling(environ: Mapping[str, str]) -> bool:
    """As the library reads it by itself: where the kernel tells nothing (network file systems, some containers)."""
    said = environ.get("WATCHFILES_FORCE_POLLING", "")
    if said:
        return said.lower() not in {"false", "disable", "disabled"}
    return "microsoft" in platform.uname().release.lower()  # WSL


def _seen(path: str) -> Seen:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Round(threading.Thread):
    """Watches a set of directories, from the moment it is made until it is over."""

    def __init__(self, directories: list[str], came: "queue.SimpleQueue[set[str]]", ringer: socket.socket) -> None:
        super().__init__(name="watch", daemon=True)
        from watchfiles._rust_notify import RustNotify  # noqa: PLC0415  # 100 ms that only this child pays for

        self.over = threading.Event()
        # What may not be read is left out before. Told to ignore that, the library ignores the limit as well.
        self._notify = RustNotify(directories, False, False, 0, False, False)
        self._came = came
        self._ringer = ringer

    def run(self) -> None:
        while True:
            changes = self._notify.watch(_LONGEST, _STEP, 0, self.over)
            if isinstance(changes, str):  # it is over
                self._notify.close()
                return
            self._came.put({path for _, path in changes})
            self._ringer.send(b"\0")
