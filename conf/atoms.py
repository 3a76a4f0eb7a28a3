"""The atoms of an access log's format, which are Gunicorn's: `%(h)s`, `%({x-id}i)s`.

Can go wrong: a format has an atom that nobody knows: `unknown` names it.
"""

import re
from typing import Final

KNOWN: Final = frozenset("hlutrmUqHsBbfaTDMLp")
ATOM: Final = re.compile(r"%\((?:([A-Za-z])|\{([^}]+)\}([ioe]))\)s|%%")
_LIKE: Final = re.compile(r"%(?:\([^)]*\)s?)?")


def unknown(template: str) -> list[str]:
    """What looks like an atom in a format, and is none."""
    found = [ATOM.fullmatch(text) or text for text in _LIKE.findall(template.replace("%%", ""))]
    return [atom if isinstance(atom, str) else atom[0] for atom in found if isinstance(atom, str) or _is_wrong(atom)]


def _is_wrong(atom: "re.Match[str]") -> bool:
    return bool(atom[1]) and atom[1] not in KNOWN
