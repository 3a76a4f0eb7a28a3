"""The documentation of the options: the table in `deploy/reference/settings.md`, and how a default is shown."""

from collections.abc import Iterable

from forkful.conf.option import Option
from forkful.conf.options import OPTIONS

MARKERS = ("<!-- settings -->", "<!-- /settings -->")


def table() -> str:
    """The options as Markdown, between `MARKERS`; a test holds that page in step."""
    lines = [MARKERS[0], "| flag | key | default | |", "|---|---|---|---|"]
    for option in OPTIONS:
        flags = f"`{option.short}`, `{option.flag}`" if option.short else f"`{option.flag}`"
        words = f" One of {_code(option.words)}." if option.words else ""
        fixed = "" if option.reload else " Needs an upgrade or a restart." if option.upgrade else " Needs a restart."
        alone = " By address, too." if option.listener else ""
        told = f"{option.help}{words}{alone}{fixed}"
        lines.append(f"| {flags} | `{option.section} {option.key}` | {default(option)} | {told} |")
    return "\n".join([*lines, MARKERS[1]])


def default(option: Option) -> str:
    """What holds where nobody says anything, as Markdown."""
    match option.default:
        case bool(switch):
            return f"`{str(switch).lower()}`"
        case float(number):
            return f"`{number:g}`"
        case () if option.name == "admin_bind":
            return "`tcp://127.0.0.1:9464` and a Unix socket in the runtime directory"
        case "" | -1:
            return ""
        case tuple(texts):
            return _code(texts)
        case other:
            return f"`{other}`"


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


if __name__ == "__main__":
    print(table())
