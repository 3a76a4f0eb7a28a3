"""The check: the effective settings, each value with the place it came from, or everything that is wrong with them.

Its text is TOML, so that it can be copied into a settings file. Nothing is bound, and handlers are imported where that
is asked for.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from forkful.conf import certified, hook_names
from forkful.conf.arguments import Arguments
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistake, Mistakes, Unloadable
from forkful.conf.option import APART, Form, Scope
from forkful.conf.options import of
from forkful.conf.plan import Certificate
from forkful.conf.reader import kinds_of_handlers, settle
from forkful.conf.settings import Settings
from forkful.conf.values import Elastic, Said, Section


def check(
    said: Sequence[str] | Arguments,
    environ: Mapping[str, str],
    *,
    as_json: bool = False,
    load: bool = False,
    machine: Machine | None = None,
) -> tuple[str, int]:
    """What to print for `forkful check` with these arguments, and its exit code. `load`: import the handlers too."""
    settings = settle(said, environ, machine)
    kinds: dict[str, str] = {}
    code = Mistakes.code if settings.mistakes else 0
    if load and not settings.mistakes:
        try:
            kinds = kinds_of_handlers(said, environ, machine)
        except Mistakes as wrong:
            settings.mistakes, code = [*wrong.mistakes], wrong.code
        except Unloadable as wrong:
            found = Mistake(wrong.handler, f"cannot be imported: {wrong.error}", wrong.traceback)
            settings.mistakes, code = [found], wrong.code
    if as_json:
        return json.dumps(_record(settings) | ({"imported": kinds} if kinds else {}), indent=2), code
    if settings.mistakes:
        warnings = "".join(f"\nwarning: {warning}" for warning in settings.warnings)
        return f"{Mistakes(settings.mistakes)}{warnings}", code
    imported = [f"# [pool.{name}] handler is imported, and serves {kind}" for name, kind in kinds.items()]
    expiries = [f"# {certified.in_words(name, each)}" for name, each in _certificates(settings)]
    return "\n".join([*_lines(settings), *expiries, *imported]), 0


# -- JSON --------------------------------------------------------------------------------------------------------------


def _record(settings: Settings) -> dict[str, Any]:  # Any: what JSON takes
    if settings.mistakes:
        return {"mistakes": [asdict(mistake) for mistake in settings.mistakes], "warnings": settings.warnings}
    return {
        "master": _section_record(settings.master),
        "admin": _section_record(settings.admin),
        "pools": {name: _section_record(pool) | _apart(settings, name) for name, pool in settings.pools.items()},
        "certificates": [{"pool": name, **asdict(each)} for name, each in _certificates(settings)],
        "warnings": settings.warnings,
    }


def _apart(settings: Settings, name: str) -> dict[str, Any]:  # Any: as above
    bind = settings.pools[name]["bind"].value
    apart = {
        str(bind[position]): _section_record(own) for position, own in settings.listeners.get(name, {}).items() if own
    }
    return {APART: apart} if apart else {}


def _section_record(section: Section) -> dict[str, Any]:
    return {
        key: {"value": _plain(said.value), "source": said.place} | ({"reason": said.note} if said.note else {})
        for key, said in section.items()
    }


def _certificates(settings: Settings) -> Iterator[tuple[str, Certificate]]:
    for name, found in settings.certificates.items():
        yield from ((name, each) for each in found)


def _plain(value: object) -> object:
    match value:
        case tuple():
            return [_plain(each) if isinstance(each, tuple) else str(each) for each in value]
        case Elastic():
            return {"min": value.least, "max": value.most}
        case _:
            return value


# -- text --------------------------------------------------------------------------------------------------------------


def _lines(settings: Settings) -> Iterator[str]:
    yield from (f"# warning: {warning}" for warning in settings.warnings)
    yield from _section_lines("[master]", Scope.MASTER, settings.master)
    yield from _section_lines("[admin]", Scope.ADMIN, settings.admin)
    for name, pool in settings.pools.items():
        yield from _section_lines(f"[pool.{name}]", Scope.POOL, pool)
        for position, own in settings.listeners.get(name, {}).items():
            title = f'[pool.{name}.{APART}."{pool["bind"].value[position]}"]'
            yield from _section_lines(title, Scope.POOL, own)


def _section_lines(title: str, scope: Scope, section: Section) -> Iterator[str]:
    yield ""
    yield title
    for key, option in of(scope).items():
        if key in section:
            yield f"{f'{key} = {_toml(option.form, section[key].value)}':<40} # {_source(section[key])}"


def _source(said: Said) -> str:
    return f"{said.place} ({said.note})" if said.note else said.place


def _toml(form: Form, value: object) -> str:
    match value:
        case int() if form is Form.MODE and value >= 0:
            return f'"{value:03o}"'
        case float():
            return f"{value:g}"
        case Elastic():
            return f"{{ min = {value.least}, max = {value.most} }}"
        case tuple() if form is Form.CERTIFICATES:
            pairs = (f"{{ certfile = {json.dumps(one)}, keyfile = {json.dumps(other)} }}" for one, other in value)
            return f"[{', '.join(pairs)}]"
        case tuple() if form is Form.HOOKS:
            return hook_names.as_toml(value)
        case tuple():
            return json.dumps(_plain(value), ensure_ascii=False)
        case _:  # JSON's texts, numbers and words are TOML's
            return json.dumps(value, ensure_ascii=False)
