"""CONTRIBUTING's answers to "where do I change ..." lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?P<question>[^|]+\?) \| `(?P<file>[\w/.]+)` \| `(?P<name>[\w.]+)` \|$", re.MULTILINE)
TEXT = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where do I change ...")[2].partition("\n## ")[0]
ROWS = [match.groups() for match in ROW.finditer(TEXT)]


def names(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """What a module or a class defines, by name."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
    return found


def test_the_table_is_read_whole() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("|")]

    assert len(ROWS) == len(lines) - 2 >= 20, "a title and a rule, and nothing that the test cannot read"


@pytest.mark.parametrize(("question", "file", "name"), ROWS, ids=[row[0] for row in ROWS])
def test_the_answer_is_there(question: str, file: str, name: str) -> None:
    body = ast.parse((ROOT / file).read_text()).body
    for part in name.split("."):
        known = names(body)
        assert part in known, f"{question} {file} has no {name}"
        node = known[part]
        body = node.body if isinstance(node, ast.ClassDef) else []
