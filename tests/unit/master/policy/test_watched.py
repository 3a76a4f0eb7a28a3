"""Which files are watched: the table of paths, and of patterns."""

import pytest

from forkful.master.policy.watched import Rules

PLAIN = Rules(("/srv/app",))


@pytest.mark.parametrize(
    ("rules", "path", "counts"),
    [
        (PLAIN, "/srv/app/views.py", True),
        (PLAIN, "/srv/app/deep/er/views.py", True),
        (PLAIN, "/srv/app/page.html", False),
        (PLAIN, "/srv/app/views.pyc", False),
        (PLAIN, "/srv/app/.#views.py", False),  # Emacs's lock
        (PLAIN, "/srv/app/#views.py#", False),
        (PLAIN, "/srv/app/views.py~", False),
        (PLAIN, "/srv/app/.views.py.swp", False),
        (PLAIN, "/srv/app/4913", False),  # Vim looks whether it may write
        (Rules(("/srv/app",), include=("*.html",)), "/srv/app/deep/page.html", True),
        (Rules(("/srv/app",), include=("*.html",)), "/srv/app/deep/page.htm", False),
        (Rules(("/srv/app",), include=(".env",)), "/srv/app/.env", True),
        (Rules(("/srv/app",), include=("templates/*.html",)), "/srv/app/templates/page.html", True),
        (Rules(("/srv/app",), include=("templates/*.html",)), "/srv/app/templates/in/page.html", False),
        (Rules(("/srv/app",), include=("templates/**/*.html",)), "/srv/app/templates/in/page.html", True),
        (Rules(("/srv/app",), include=("templates/**/*.html",)), "/srv/app/templates/page.html", True),
        (Rules(("/srv/app",), include=("templates/**",)), "/srv/app/templates/in/page.jinja", True),
        (Rules(("/srv/app",), include=("./templates/",)), "/srv/app/templates/page.jinja", True),
        (Rules(("/srv/app",), include=("locale",)), "/srv/app/x/locale/de.mo", True),
        (Rules(("/srv/app",), include=("/etc/app/*.toml",)), "/etc/app/a.toml", True),
        (Rules(("/srv/app",), include=("[ab].txt",)), "/srv/app/a.txt", True),
        (Rules(("/srv/app",), include=("[!ab].txt",)), "/srv/app/a.txt", False),
        (Rules(("/srv/app",), include=("[ab.txt",)), "/srv/app/[ab.txt", True),
        (Rules(("/srv/app",), exclude=("test_*.py",)), "/srv/app/test_views.py", False),
        (Rules(("/srv/app",), exclude=("migrations",)), "/srv/app/x/migrations/1.py", False),
        (Rules(("/srv/app",), include=("*.html",), exclude=("generated/*",)), "/srv/app/generated/a.html", False),
        (Rules(("/srv/app/",)), "/srv/app/views.py", True),
    ],
)
def test_file_counts(rules: Rules, path: str, counts: bool) -> None:
    assert rules.counts(path) is counts


@pytest.mark.parametrize(
    ("rules", "path", "enters"),
    [
        (PLAIN, "/srv/app/deep", True),
        *((PLAIN, f"/srv/app/{name}", False) for name in ("__pycache__", ".git", ".venv", "node_modules", ".idea")),
        (Rules(("/srv/app",), include=(".config",)), "/srv/app/.config", True),
        (Rules(("/srv/app",), exclude=("data",)), "/srv/app/data", False),
        (Rules(("/srv/app",), exclude=("data/",)), "/srv/app/data", False),
    ],
)
def test_directory_is_entered(rules: Rules, path: str, enters: bool) -> None:
    assert rules.enters(path) is enters


def test_patterns_that_are_whole_paths_have_roots_of_their_own() -> None:
    rules = Rules(("/srv/app",), include=("*.html", "/etc/app/*.toml", "/etc/app/conf.d/**/a", "/opt/x.txt"))
    assert rules.all_roots == ("/srv/app", "/etc/app", "/etc/app/conf.d", "/opt")
