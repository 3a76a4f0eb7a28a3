"""Which files are watched: what the application's directories have of Python, and what patterns add and take away.

    rules.counts("/srv/app/views.py")     rules.enters("/srv/app/.git")

A pattern without a slash is about the name of a file, or of a directory on the way to it; one with a slash is about
the path below a root, or the whole one if it begins with a slash. `**` stands for any number of directories.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

#: Directories that nobody's code is in, as a rule; those that begin with a dot are left out as well.
_NEVER: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_SOURCE: Final = (".py",)
_WILD: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Rules:
    """Absolute paths. `settings` are the service's own files; `extra` are watched, whatever their names."""

    roots: tuple[str, ...]
    settings: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def counts(self, path: str) -> bool:
        """Whether a change of this file is one of the application's. Not asked of those known by name."""
        name = _name(path)
        if self._included.matches(path, self.roots):
            return not self._excluded.matches(path, self.roots)
        is_ours = name.endswith(_SOURCE) and not name.startswith((".", "#"))
        return is_ours and not self._excluded.matches(path, self.roots)

    def enters(self, path: str) -> bool:
        """Whether this directory below a root is looked into."""
        name = _name(path)
        if self._excluded.matches(path, self.roots):
            return False
        return not (name in _NEVER or name.startswith(".")) or self._included.matches(path, self.roots)

    @cached_property
    def all_roots(self) -> tuple[str, ...]:
        """Also where patterns begin that are whole paths."""
        whole = (pattern for pattern in self.include if pattern.startswith("/"))
        return tuple(dict.fromkeys([*self.roots, *map(_fixed_part, whole)]))

    @cached_property
    def _included(self) -> "_Patterns":
        return _Patterns.of(self.include)

    @cached_property
    def _excluded(self) -> "_Patterns":
        return _Patterns.of(self.exclude)


@dataclass(frozen=True)
class _Patterns:
    names: tuple[re.Pattern[str], ...]
    below: tuple[re.Pattern[str], ...]
    whole: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "_Patterns":
        kinds: tuple[list[re.Pattern[str]], ...] = ([], [], [])
        for pattern in patterns:
            plain = pattern.rstrip("/")
            kind = 2 if plain.startswith("/") else 1 if "/" in plain else 0
            kinds[kind].append(re.compile(_regular(plain.removeprefix("./")) + r"(?:/.*)?", re.DOTALL))
        return cls(*map(tuple, kinds))

    def matches(self, path: str, roots: Iterable[str]) -> bool:
        if any(pattern.fullmatch(path) for pattern in self.whole):
            return True
        for root in roots:
            if path.startswith(f"{root.rstrip('/')}/"):
                rest = path[len(root.rstrip("/")) + 1 :]
                if any(pattern.fullmatch(rest) for pattern in self.below):
                    return True
                if any(pattern.fullmatch(part) for pattern in self.names for part in rest.split("/")):
                    return True
        return any(pattern.fullmatch(_name(path)) for pattern in self.names)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _regular(pattern: str) -> str:
    """The pattern as a regular expression. A bracket that is never closed stands for itself."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", pattern)
    known = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part) or (_bracket(part) if n % 2 else re.escape(part)) for n, part in enumerate(parts))


def _bracket(part: str) -> str:
    negated = part.startswith("[!")
    inner = part[1 + negated : -1].replace("\\", r"\\").replace("[", r"\[")
    return f"[{'^' if negated else ''}{inner}]"


def _fixed_part(pattern: str) -> str:
    """The directory that all its paths are in."""
    head = pattern[: found.start()] if (found := _WILD.search(pattern)) else pattern
    return head.rpartition("/")[0] or "/"
