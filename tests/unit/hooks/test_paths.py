"""Where paths point: what is outside, what is ours, and that no class is lost on the quick way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudebench.hooks import expressions, paths
from claudebench.hooks.paths import PARTS_MAX, PATH_CHARS_MAX, PATH_CLASSES, Places

if TYPE_CHECKING:
    from pathlib import Path

MARKED = [
    ".ssh/id_rsa", ".ssh/x_key", ".ssh/a.pem", ".ssh/*", ".ssh", ".aws/credentials", ".gnupg/x", ".netrc",
    ".git-credentials", ".pgpass", ".npmrc", ".pypirc", ".kube/config", ".docker/config.json",
    ".config/gh/hosts.yml", ".config/gcloud/x", ".azure/x", ".vault-token", "id_rsa", ".env", ".env.local",
    ".claude/.credentials.json", ".codex/auth.json", ".ssh/authorized_keys", ".bashrc", ".zshenv",
    ".bash_history", ".mysql_history", ".claude.json", ".claude/settings.json", ".claude/hooks/x",
    ".codex/config.toml", ".gemini/settings.json", ".git/hooks/pre-commit", ".husky/x", ".gitconfig",
    ".config/git/config", ".github/workflows/a.yml", ".gitlab-ci.yml", ".circleci/x", "Jenkinsfile",
    "azure-pipelines.yml", ".buildkite/x", ".drone.yml", "bitbucket-pipelines.yml", ".pre-commit-config.yaml",
    ".ci/run", ".claudebench/rules.toml", "claudebench/appendonly.aof", ".local/share/claudebench/x",
    "Library/LaunchAgents/x",
]  # fmt: skip
WHOLE = [
    "/etc/shadow",
    "/etc/sudoers",
    "/etc/krb5.keytab",
    "/etc/ssh/ssh_host_rsa_key",
    "/var/spool/cron/x",
    "/etc/claude-code/x",
]


@pytest.mark.parametrize("before", ["", "./", "~/", "/root/", "/home/dev/", "/srv/shop/", "../"])
def test_the_quick_way_loses_no_class(before: str) -> None:
    """Every path that one of the expressions of a class fits passes the quick look before them."""
    secret = (paths._CREDENTIALS, paths._STARTUP, paths._HISTORY, paths._AGENT_SETTINGS, paths._OUR_DATA)
    expected = (*secret, paths._GIT_HOOKS, paths._CI)
    for path in [*(before + name for name in MARKED), *WHOLE]:
        if any(expression.search(path) for expression in expected):
            assert expressions.found(paths._MARKED, path), path


@pytest.mark.parametrize(
    ("word", "outside"),
    [
        ("src/a.py", False), ("../shop/b", False), ("/srv/shop", False), ("/tmp/x", False), ("/dev/null", False),
        ("~/.cache/pip", False), ("../other/b", True), ("/srv/shopping", True), ("~/notes", True), ("/srv", True),
        ("/tmp/../srv/other", True),
    ],
)  # fmt: skip
def test_what_lies_outside_is_told(word: str, *, outside: bool) -> None:
    """A path outside the repository is told, however it is spelt; temporary and cached files are nobody's."""
    places = Places("/srv/shop/src/..", "/home/dev", "/srv/shop")

    assert ("outside" in places.classes(word)) is outside


def test_a_link_out_of_the_repository_is_followed(tmp_path: Path) -> None:
    """A link below the repository that leads out of it is outside; the repository's own path may be a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "out").symlink_to("/srv")
    (tmp_path / "real" / "in").mkdir()
    places = Places(str(tmp_path / "link"), "/home/dev", str(tmp_path / "link"))
    places_elsewhere = Places("/srv/shop", "/home/dev", "/srv/shop")

    assert "outside" in places.classes("out/x")
    assert "outside" not in places.classes("in/x")
    assert "outside" not in places.classes(str(tmp_path / "real" / "in"))
    assert "outside" not in places_elsewhere.classes("x")


def test_the_home_is_read_off_the_folder() -> None:
    """Who calls from below a home and names none has that home."""
    assert "outside" not in Places("/home/dev/shop").classes("~/shop/a")
    assert "home" in Places("/root/shop").classes("~")


def test_the_servers_own_folder_is_protected(tmp_path: Path) -> None:
    """The data directory in use is ours wherever it lies."""
    places = Places("/srv/shop", ours=(str(tmp_path),))

    assert "claudebench-data" in places.classes(str(tmp_path / "token"))
    assert "claudebench-data" not in places.classes("/srv/shop/token")


def test_what_cannot_be_followed_is_of_every_class() -> None:
    """A path that is too deep to be followed is judged by the strictest; what is no path for the system is none."""
    places = Places("/srv/shop")

    assert places.classes("a/" * (PARTS_MAX + 1)) == frozenset(PATH_CLASSES)
    assert places.classes("x" * (PATH_CHARS_MAX + 1)) == frozenset()
