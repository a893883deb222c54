"""Which rules are in force where: layers, tightening, signatures, files that change or cannot be read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from claudebench.errors import NotFound, SettingsError
from claudebench.hooks.guard import Guard
from claudebench.hooks.model import ToolCall
from claudebench.hooks.rulebook import REPOSITORY_BYTES_MAX, Rulebook, builtin
from claudebench.hooks.rulefile import RuleFile, read
from claudebench.hooks.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

LOOSE = '[[override]]\nid = "power"\naction = "off"\n'
TIGHT = '[[override]]\nid = "whole-file-system"\naction = "deny"\n'


def rule(name: str, program: str, action: str = "deny") -> str:
    head = f'[[rule]]\nid = "{name}"\nseverity = "low"\naction = "{action}"\nreason = "not here"\n'
    return f'{head}[[rule.command]]\nprogram = ["{program}"]\n'


class Folder:
    """A repository with a subfolder, a user's file, and a clock that stands until it is told."""

    def __init__(self, base: Path) -> None:
        self.user = base / "user.toml"
        self.root = base / "repo"
        self.sub = self.root / "src" / "deep"
        self.sub.mkdir(parents=True)
        (self.root / ".git").mkdir()
        self.data = base / "data"
        self.data.mkdir()
        (self.data / "token").write_text("operator")
        self.now = 0.0
        self.errors: list[str] = []
        self.signature = Signature(self.data)
        self.book = Rulebook(self.user, self.signature, clock=lambda: self.now, on_error=self.errors.append)
        self.guard = Guard(builtin())

    @property
    def own(self) -> Path:
        """The repository's file."""
        return self.root / ".claudebench" / "rules.toml"

    def write(self, path: Path, text: str) -> None:
        """Write a file of rules so that its time of change moves."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.now += 10
        os.utime(path, ns=(int(self.now * 1e9), int(self.now * 1e9)))

    async def decides(self, line: str, where: Path | None = None) -> str:
        """Judge a line as a server would, from the deep subfolder."""
        cwd = str(where or self.sub)
        ground = await self.book.at(cwd)
        return self.guard.decide(
            ToolCall("Bash", {"command": line}, cwd=cwd, root=ground.root, rules=ground.rules)
        ).decision


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_a_repository_adds_rules_for_all_its_folders(folder: Folder) -> None:
    """A rule of the repository counts in its subfolders and nowhere else."""
    folder.write(folder.own, rule("no-make", "make"))

    assert await folder.decides("make all") == "deny"
    assert await folder.decides("make all", folder.root.parent) == "allow"


async def test_the_users_rules_count_everywhere(folder: Folder) -> None:
    """The user's own file may add and loosen, without any signature."""
    folder.write(folder.user, rule("no-make", "make") + LOOSE)

    assert await folder.decides("make all", folder.root.parent) == "deny"
    assert await folder.decides("reboot") == "allow"


async def test_a_repository_may_tighten_and_not_loosen(folder: Folder) -> None:
    """A stricter action counts, a looser one does not, also for rules of the user."""
    folder.write(folder.user, rule("careful", "make", "ask"))
    folder.write(folder.own, LOOSE + TIGHT + '[[override]]\nid = "careful"\naction = "warn"\n')

    assert await folder.decides("reboot") == "deny"
    assert await folder.decides("find / -name x") == "deny"
    assert await folder.decides("make all") == "ask"


async def test_a_nested_repository_escapes_nothing(folder: Folder) -> None:
    """`git init` in a subfolder, or a file of rules there, does not shake off the rules above."""
    folder.write(folder.own, rule("no-make", "make"))
    (folder.sub / ".git").mkdir()
    folder.write(folder.sub / ".claudebench" / "rules.toml", '[[override]]\nid = "no-make"\naction = "off"\n')

    assert await folder.decides("make all") == "deny"


async def test_an_operators_signature_lets_a_repository_loosen(folder: Folder) -> None:
    """A signed file loosens; one changed character later it does so no more."""
    folder.write(folder.own, LOOSE)
    folder.signature.sign(str(folder.own), LOOSE)
    folder.now += 10
    assert await folder.decides("reboot") == "allow"

    folder.write(folder.own, LOOSE + "\n")
    assert await folder.decides("reboot") == "deny"


async def test_a_signature_of_another_key_or_place_counts_for_nothing(folder: Folder, tmp_path: Path) -> None:
    """A signature made with another token, or for another path, is none."""
    folder.write(folder.own, LOOSE)
    folder.signature.sign(str(tmp_path / "elsewhere.toml"), LOOSE)
    folder.signature.sign(str(folder.own), LOOSE)
    (folder.data / "token").write_text("another")

    assert await folder.decides("reboot") == "deny"


def test_without_an_operator_nothing_is_signed(tmp_path: Path) -> None:
    """Signing where no server ever ran says what to do."""
    with pytest.raises(NotFound, match="start a server first"):
        Signature(tmp_path).sign("x", "")


async def test_a_change_counts_from_the_next_look_on(folder: Folder) -> None:
    """A changed, a new and a removed file count once the last look is a second old, and the version tells."""
    first = (await folder.book.at(str(folder.sub))).rules.version
    folder.write(folder.own, rule("no-make", "make"))
    assert await folder.decides("make") == "deny"
    second = (await folder.book.at(str(folder.sub))).rules.version

    folder.write(folder.own, rule("no-cargo", "cargo"))
    assert (await folder.decides("make"), await folder.decides("cargo b")) == ("allow", "deny")

    folder.own.unlink()
    assert await folder.decides("cargo b") == "deny", "it was just looked at"
    folder.now += 1
    assert await folder.decides("cargo b") == "allow"
    assert len({first, second, (await folder.book.at(str(folder.sub))).rules.version}) == 2
    assert (await folder.book.at(str(folder.sub))).rules.version == first


async def test_a_file_that_breaks_leaves_what_it_said(folder: Folder) -> None:
    """A file that cannot be read any more keeps its last rules in force, and somebody is told."""
    folder.write(folder.own, rule("no-make", "make"))
    assert await folder.decides("make") == "deny"

    folder.write(folder.own, "[[rule")
    assert (await folder.decides("make"), await folder.decides("ls")) == ("deny", "allow")
    assert len(folder.errors) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[[rule",
        rule("power", "make"),
        '[[override]]\nid = "powr"\naction = "deny"\n',
        '[[override]]\nid = "whole-file-system"\naction = "rewrite"\n',
        "#" * (REPOSITORY_BYTES_MAX + 1),
    ],
    ids=["no TOML", "an id that is taken", "no such rule", "not to be rewritten", "too large"],
)
async def test_a_file_that_never_could_be_read_asks(folder: Folder, text: str) -> None:
    """Nobody knows what such a file forbids: everything asks, what is denied anyway is denied."""
    folder.write(folder.own, text)

    assert await folder.decides("ls") == "ask"
    assert await folder.decides("rm -rf /") == "deny"
    assert await folder.decides("ls", folder.root.parent) == "allow"


async def test_what_is_no_regular_file_holds_nobody_up(folder: Folder) -> None:
    """A pipe in the place of the file is not waited for: it asks."""
    folder.own.parent.mkdir()
    os.mkfifo(folder.own)

    assert await folder.decides("ls") == "ask"


def test_a_wrong_file_of_the_user_is_refused_at_start(folder: Folder) -> None:
    """The user's own file is checked when the server starts; the error names file and key."""
    folder.write(folder.user, '[[rule]]\nid = "x"\nseverty = "low"\n')

    with pytest.raises(SettingsError, match=r"user\.toml: rule 'x'.*'severty'.*'severity'"):
        folder.book.check()


def test_the_guard_itself_stays_on(folder: Folder) -> None:
    """`[[hook]]` switches registered hooks, never the guard."""
    folder.write(folder.user, '[[hook]]\nname = "guard"\nenabled = false\n')

    with pytest.raises(SettingsError, match="guard itself"):
        folder.book.check()


async def test_no_expression_of_a_file_takes_long(folder: Folder) -> None:
    """An expression that is exponential elsewhere is linear here, and look-around is refused by name."""
    nested = f'{rule("slow", "echo")}text = "^(a+)+$"\n'
    folder.write(folder.own, nested)
    assert await folder.decides("echo " + "a" * 10_000 + "!") == "allow"

    folder.write(folder.own, f'{rule("slow", "echo")}text = "(?=a)"\n')
    await folder.decides("ls")
    assert "RE2" in folder.errors[0]


async def test_memory_is_bounded(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many folders calls come from, only so many are remembered."""
    monkeypatch.setattr("claudebench.hooks.rulebook.FOLDERS_KEPT_MAX", 10)
    for number in range(50):
        await folder.book.at(f"/nowhere/{number}")

    assert len(folder.book._grounds) == 10


def linked(folder: Folder, name: str, target: Path) -> Path:
    """Make another repository whose folder of rules is a link, and return its root."""
    other = folder.root.parent / name
    (other / ".git").mkdir(parents=True)
    (other / ".claudebench").symlink_to(target)
    return other


async def test_a_signature_is_not_lent_by_a_link(folder: Folder) -> None:
    """A repository that links to the signed rules of another may tighten by them, and not loosen."""
    text = LOOSE + TIGHT
    folder.write(folder.own, text)
    folder.signature.sign(str(folder.own), text)
    folder.now += 10
    other = linked(folder, "other", folder.own.parent)

    assert await folder.decides("reboot") == "allow"
    assert await folder.decides("reboot", other) == "deny"
    assert await folder.decides("find / -name x", other) == "deny"
    with pytest.raises(SettingsError, match="symbolic link"):
        folder.signature.sign(str(other / ".claudebench" / "rules.toml"), text)


async def test_a_folder_that_a_link_leads_to_keeps_its_own_rules(folder: Folder) -> None:
    """Named through a link, a folder has the rules above it and those above the link, and only its own may loosen."""
    signed = folder.root.parent / "signed"
    signed.mkdir()
    above, text = signed / ".claudebench" / "rules.toml", LOOSE + rule("no-cargo", "cargo")
    folder.write(above, text)
    folder.signature.sign(str(above), text)
    folder.write(folder.own, rule("no-make", "make"))
    (signed / "link").symlink_to(folder.sub)
    folder.now += 10

    assert await folder.decides("make", signed / "link") == "deny"
    assert await folder.decides("cargo b", signed / "link") == "deny"
    assert await folder.decides("reboot", signed / "link") == "deny"
    assert await folder.decides("reboot", signed) == "allow"


async def test_an_unreachable_file_is_not_an_absent_one(folder: Folder) -> None:
    """A link in a circle in the place of a file leaves in force what it said; where none was read it asks."""
    folder.write(folder.own, rule("no-make", "make"))
    assert await folder.decides("make") == "deny"
    folder.own.unlink()
    folder.own.symlink_to(folder.own)
    folder.now += 10
    assert (await folder.decides("make"), await folder.decides("ls")) == ("deny", "allow")
    assert "stays in force" in folder.errors[-1]

    told = len(folder.errors)
    folder.now += 10
    await folder.decides("make")
    assert len(folder.errors) == told, "told once"
    fresh = Rulebook(folder.user, folder.signature, clock=lambda: folder.now)
    assert (await fresh.at(str(folder.sub))).rules.trouble


@pytest.mark.parametrize("target", ["nowhere/at/all", "rules.toml"])
async def test_a_link_to_nothing_asks(folder: Folder, target: str) -> None:
    """A file, or its folder, that is a link which leads nowhere may hide any rule."""
    folder.own.parent.mkdir()
    folder.own.symlink_to(target)
    assert await folder.decides("ls") == "ask"

    assert await folder.decides("ls", linked(folder, "other", folder.root / "nowhere")) == "ask"


async def test_the_users_file_that_cannot_be_reached_stays(folder: Folder) -> None:
    """The user's own rules are not dropped by a link in a circle; removed, they are, and somebody is told."""
    folder.write(folder.user, rule("no-make", "make"))
    assert await folder.decides("make") == "deny"
    folder.user.unlink()
    folder.user.symlink_to(folder.user)
    folder.now += 10
    assert await folder.decides("make") == "deny"

    folder.user.unlink()
    folder.now += 10
    assert await folder.decides("make") == "allow"
    assert "is gone" in folder.errors[-1]


async def test_a_call_from_very_deep_asks(folder: Folder) -> None:
    """Further below its repository than rules are looked for, a call is not free of them."""
    folder.write(folder.own, rule("no-make", "make"))
    deep = folder.root.joinpath(*["d"] * 70)

    assert await folder.decides("make", deep) == "ask"
    assert await folder.decides("rm -rf /", deep) == "deny"
    assert await folder.decides("make", folder.root.joinpath(*["d"] * 40)) == "deny"


async def test_an_unchanged_file_is_not_read_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is only touched, sound or not, is not parsed again."""
    parsed: list[str] = []

    def noted(text: str, path: str) -> RuleFile:
        parsed.append(path)
        return read(text, path)

    monkeypatch.setattr("claudebench.hooks.rulebook.read", noted)
    for text in (rule("no-make", "make"), "[[rule"):
        for _ in range(3):
            folder.write(folder.own, text)
            await folder.decides("ls")

    assert len(parsed) == 2


async def test_a_change_that_hides_its_time_counts(folder: Folder) -> None:
    """Other text of the same length, with the time of change set back, is read."""
    folder.write(folder.own, rule("no-make", "make"))
    assert await folder.decides("make") == "deny"
    before = folder.own.stat().st_mtime_ns
    folder.own.write_text(rule("no-cake", "cake"))
    os.utime(folder.own, ns=(before, before))
    folder.now += 10

    assert (await folder.decides("make"), await folder.decides("cake")) == ("allow", "deny")


async def test_no_file_breaks_the_look_itself(folder: Folder) -> None:
    """Whatever goes wrong with a file in an unforeseen way, calls there ask, and somebody is told."""
    folder.write(folder.own, rule("no-make", "make"))
    folder.book._layers = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]

    assert await folder.decides("ls") == "ask"
    assert "ZeroDivisionError" in folder.errors[-1]
