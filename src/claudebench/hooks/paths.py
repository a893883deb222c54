"""Where a word of a command line points: made absolute where that can be known, then sorted into classes.

A home that the caller did not name is written `~`, a working directory that it did not name `.`. A path keeps its
globs: `/*` is everything under the root, and is judged like the root.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from contextlib import suppress
from functools import lru_cache
from typing import Literal, get_args

from claudebench.hooks import expressions

PathClass = Literal[
    "root",  # the file system itself: /, /*, //, /..
    "home",  # somebody's whole home, or all homes
    "system",  # what the machine needs to run: /etc, /usr, /bin ... and everything in them
    "local",  # in /usr/local and /opt: not the distribution's, but not the agent's either
    "parent",  # a directory above the one that the agent works in
    "workdir",  # the whole directory that the agent works in
    "device",  # a disk, a partition, memory
    "network",  # a connection to another host that bash opens: /dev/tcp/..., /dev/udp/...
    "credentials",  # private keys, tokens, password files
    "keys",  # where keys and tokens of a user are kept: ~/.ssh, ~/.aws ..., not the .env of a project
    "startup",  # what runs by itself later: authorized_keys, shell profiles, crontabs
    "history",  # a shell's history
    "agent-settings",  # the settings that decide which hooks an agent runs
    "git-hooks",  # what git runs by itself: its hooks and its configuration
    "ci",  # what the build server runs
    "outside",  # outside of the call's repository, and neither temporary nor a cache
    "claudebench-data",  # our own data directory, and the guard's rules
    "unknown",  # begins with a variable that may be empty, so "$DIR/*" may be "/*"
]
PATH_CLASSES: tuple[PathClass, ...] = get_args(PathClass)

PATH_CHARS_MAX = 4_096
PARTS_MAX = 400
UNKNOWN = "\0"  # stands in a word for text that nobody can know, and that may be empty
SOME = "\x01"  # the same, but surely not empty

_SYSTEM = [
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/boot",
    "/dev",
    "/proc",
    "/sys",
    "/usr",
    "/System",
    "/Library",
]
_WHOLE = [
    "/var",
    "/var/lib",
    "/var/log",
    "/opt",
    "/usr/local",
    "/srv",
    "/mnt",
    "/media",
    "/run",
    "/Applications",
    "/Volumes",
]
_LOCAL = ("/usr/local/", "/opt/")
_HARMLESS = re.compile(r"/dev/(null|zero|full|u?random|tty|ptmx|std(in|out|err)|fd(/.*)?|shm/.+|pts/.*|(tcp|udp)/.+)$")
_DEVICE = re.compile(
    r"/dev/(sd|hd|vd|xvd|nvme|mmcblk|disk|rdisk|md\d|dm-|loop\d|sr\d|mapper/|mem$|kmem$|port$|block/|\*|\[|\?)",
)
_NETWORK = re.compile(r"/dev/(?:tcp|udp)/([^/]*)")
_NEAR = re.compile(r"127\..*|::1|\[::1\]|[A-Za-z][\w-]*")  # this host, or a name on its own network
_HOMES = re.compile(r"(/home|/Users)(/[^/]+)?|/root|/var/root")
_ALL_HOMES = ("/home", "/Users")
_ALL_WITHIN = re.compile(r"/(\*+|\.\*|\.\?\*|\?\*|\.\[[^/]*\]\*?|\{\*,\.\*\}|\[[^/]*\]\*)$")
_CREDENTIALS = re.compile(
    r"(^|/)(\.ssh/(id_[a-z0-9_]+|[^/]*_key|[^/]*\.pem|\*)$|\.ssh/?$|\.aws(/(credentials|\*).*)?$|\.gnupg(/.*)?$|\.netrc$"
    r"|\.git-credentials$|\.pgpass$|\.npmrc$|\.pypirc$|\.kube/config$|\.docker/config\.json$|\.config/gh/hosts\.yml$"
    r"|\.config/gcloud(/.*)?$|\.azure(/.*)?$|\.vault-token$|\.claude/\.credentials\.json$|\.codex/auth\.json$"
    r"|id_(rsa|dsa|ecdsa|ed25519)$|\.env(\.(local|prod|production))?$)|^/etc/(g?shadow-?|sudoers|krb5\.keytab)$|^/etc/ssh/ssh_host_[^/]*_key$",
)
_KEYS = re.compile(
    r"(^|/)(\.ssh/(id_[^/]*|config|[^/]*\.pem|[^/]*_key)|\.(aws|gnupg|azure)/.+|\.netrc|\.git-credentials|\.pgpass|\.pypirc"
    r"|\.kube/config|\.docker/config\.json|\.config/(gh|gcloud)/.+|\.vault-token)$"
)
_STARTUP = re.compile(
    r"(^|/)\.ssh/(authorized_keys2?|rc)$|^~?(/home/[^/]+|/root|/Users/[^/]+)?/\.(bash_profile|bash_login|bash_logout|bashrc|profile"
    r"|zshrc|zprofile|zshenv|zlogin|zlogout|xprofile|xinitrc|xsessionrc|pam_environment|config/fish/(config\.fish|conf\.d/.*)"
    r"|config/autostart/.*|config/(systemd/user|environment\.d)/.*|local/share/systemd/user/.*)$"
    r"|^/var/spool/(cron|at)(/.*)?$|(^|/)Library/Launch(Agents|Daemons)(/.*)?$",
)
_HISTORY = re.compile(r"(^|/)\.(bash|zsh|sh|python|psql|mysql)_history$")
_AGENT_SETTINGS = re.compile(
    r"(^|/)\.claude/(settings(\.local)?\.json|hooks(/.*)?)$|(^|/)\.claude/?$|(^|/)\.claude\.json$|(^|/)\.codex/(config\.toml|hooks\.json)$"
    r"|(^|/)\.gemini/settings\.json$|^/etc/claude-code(/.*)?$",
)
_GIT_HOOKS = re.compile(
    r"(^|/)(\.git/(hooks(/.*)?|config(\.worktree)?|info/attributes)|\.husky(/.*)?|\.gitconfig|\.config/git(/.*)?)$"
)
_CI = re.compile(
    r"(^|/)(\.github/(workflows|actions)(/.*)?|\.gitlab-ci\.yml|\.circleci(/.*)?|Jenkinsfile|azure-pipelines\.yml"
    r"|\.buildkite(/.*)?|\.drone\.yml|bitbucket-pipelines\.yml|\.pre-commit-config\.yaml|\.ci(/.*)?)$"
)
_PASSING = re.compile(
    r"(/tmp|/var/tmp|/private/tmp|/dev/shm|(/private)?/var/folders)(/|$)|(^~|/home/[^/]+|/root|/Users/[^/]+)/(\.cache|Library/Caches)/"
)
_OUR_DATA = re.compile(
    r"(^|/)\.?claudebench/(.*\.(aof|rdb|key|db|sqlite3?)|rules\.toml)$|(^|/)\.local/share/claudebench(/.*)?$"
    r"|(^|/)\.claudebench/?$|(^|/)\.config/claudebench/?$"
)
_WINDOWS = re.compile(r"^[A-Za-z]:[\\/]+(Windows|System32|System|Program Files)([\\/]|$)", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:([\\/]|$)")
_WINDOWS_ROOT = re.compile(r"^[A-Za-z]:([\\/]+\*?(\.\*)?)?$")


class Places:
    """Where one call stands: its working directory and its home. Resolves and sorts the paths that it names.

    With a working directory the call comes from this host, so symbolic links are followed; `followed` tells that the
    answer depends on the disk and must not be kept. The links in the working directory's own path are followed once.
    """

    def __init__(
        self, cwd: str | None = None, home: str | None = None, root: str | None = None, ours: tuple[str, ...] = ()
    ) -> None:
        """Take the call's folder, its home (else the one that the folder lies in), its repository, and our folders."""
        self.cwd = cwd if cwd and cwd.startswith("/") else None
        within = _HOMES.match(self.cwd or "")
        self.home = (
            home if home and home.startswith("/") else within[0] if within and within[0] not in _ALL_HOMES else None
        )
        self._root = (root or self.cwd or "").rstrip("/")
        self._ours = ours
        self._inside: str | None = None
        self.followed = False
        self._below = _normal(self.cwd or "/").rstrip("/") + "/"
        self._real_below: str | None = None
        self._known: dict[tuple[str, str], frozenset[PathClass]] = {}

    def classes(self, word: str, directory: str = "") -> frozenset[PathClass]:
        """Return every class of the path that `word` means in `directory` (relative to the call's own).

        What is longer than any path that the system takes is in no class, what is too deep to be followed in every.
        """
        if len(word) > PATH_CHARS_MAX:
            return frozenset()
        if word.count("/") > PARTS_MAX:
            return frozenset(PATH_CLASSES)
        known = self._known.get((word, directory))
        if known is None:
            known = self._known[word, directory] = self._classes(word, directory)
        return known

    def _classes(self, word: str, directory: str) -> frozenset[PathClass]:
        path = self.absolute(word, directory)
        real = self._real(path)
        found = _classes(path, self.cwd or ".", self.home)
        if real != path:
            found |= _classes(real, self.cwd or ".", self.home)
        if any(real.startswith(folder) or path.startswith(folder) for folder in self._ours):
            found |= {"claudebench-data"}
        return found | {"outside"} if self._is_outside(real) else found

    def _is_outside(self, path: str) -> bool:
        """Whether a path is surely in no place that the call may use as its own."""
        if not self._root:
            return path.startswith("../")
        if not path.startswith(("/", "~")) or path.startswith("/dev/"):
            return False
        if f"{path}/".startswith((f"{self._root}/", f"{self.cwd}/")) or _PASSING.match(path):
            return False
        if self._inside is None:
            self._inside = f"{os.path.realpath(self._root)}/"
        return not f"{path}/".startswith(self._inside)

    def absolute(self, word: str, directory: str = "") -> str:
        """Return the path without `.`, `..` and doubled slashes; globs stay."""
        if _DRIVE.match(word):
            return word
        if not word.startswith(("/", "~", UNKNOWN, SOME)):
            word = f"{directory or '.'}/{word}"
        if not word.startswith(("/", "~", UNKNOWN, SOME)):
            word = f"{self.cwd or '.'}/{word}"
        return _normal(self._with_home(word))

    def _with_home(self, word: str) -> str:
        if word.startswith("~") and self.home and word[1:2] in ("", "/"):
            return self.home + word[1:]
        return word

    def _real(self, path: str) -> str:
        if self.cwd is None or not path.startswith("/") or UNKNOWN in path or SOME in path:
            return path
        fixed, tail = _split_glob(path)
        self.followed = True
        return _normal(self._resolved(fixed) + tail)

    def _resolved(self, path: str) -> str:
        """Return the path without symbolic links; one without links below the working directory only needs that."""
        if not path.startswith(self._below) or _has_link(path, len(self._below)):
            return os.path.realpath(path)
        if self._real_below is None:
            self._real_below = os.path.realpath(self._below).rstrip("/") + "/"
        return self._real_below + path[len(self._below) :]


def relative_to(directory: str, word: str) -> str:
    """Return where `cd word` leads from `directory`; both may be relative to a place that is not known here."""
    if word.startswith(("/", "~", UNKNOWN, SOME)) or not directory:
        return word
    return f"{directory}/{word}"


def _has_link(path: str, start: int) -> bool:
    """Whether the path, or a directory on its way from `start` on, is a symbolic link; what is not there is none."""
    end = start
    while end != -1:
        end = path.find("/", end + 1)
        with suppress(OSError):
            if stat.S_ISLNK(os.lstat(path if end == -1 else path[:end]).st_mode):
                return True
    return False


def _split_glob(path: str) -> tuple[str, str]:
    at = re.search(r"/[^/]*[*?\[{]", path)
    return (path[: at.start()] or "/", path[at.start() :]) if at else (path, "")


def _normal(path: str) -> str:
    if path.startswith(("~", UNKNOWN, SOME)):
        return _normal_below_unknown(path)
    plain = posixpath.normpath(path)
    if plain.startswith("/"):
        return "/" + plain.lstrip("/")
    return plain if plain.startswith(".") else f"./{plain}"


def _normal_below_unknown(path: str) -> str:
    head, slash, rest = path.partition("/")
    if not slash:
        return path
    rest = posixpath.normpath(rest) if rest else ""
    if rest == ".." and head == "~":
        return "/home"
    if rest.startswith("../") and head == "~":
        return posixpath.normpath("/home/" + rest[3:])
    return f"{head}/{rest}" if rest != "." else f"{head}/"


@lru_cache(maxsize=4096)
def _classes(path: str, cwd: str, home: str | None) -> frozenset[PathClass]:
    if path.startswith((UNKNOWN, SOME)):
        return _unknown_classes(path)
    found: set[PathClass] = set()
    whole = _ALL_WITHIN.sub("", path) or "/"
    if whole == "/" or re.fullmatch(r"/[^/]?\*[^/]*", path) or _WINDOWS_ROOT.match(path):
        found.add("root")
    found |= _system_classes(path, whole)
    found |= _network_classes(path)
    found |= _home_classes(whole.rstrip("/"), home)
    found |= _workdir_classes(path, whole, cwd)
    found |= _secret_classes(path)
    return frozenset(found)


def _unknown_classes(path: str) -> frozenset[PathClass]:
    rest = path.lstrip(UNKNOWN)
    if path.startswith(SOME) or not rest.startswith("/"):
        return frozenset(_secret_classes(path))
    whole = _ALL_WITHIN.sub("", rest).rstrip("/")
    if not whole:
        return frozenset({"unknown"})
    known = _secret_classes(path)
    return frozenset(known | {"unknown"} if whole in _SYSTEM or whole in _WHOLE else known)


def _system_classes(path: str, whole: str) -> set[PathClass]:
    if _DEVICE.match(path):
        return {"device", "system"}
    if _HARMLESS.match(path):
        return set()
    if whole in _WHOLE:
        return {"system"}
    if path.startswith(_LOCAL):
        return {"local"}
    if whole in _SYSTEM or any(path.startswith(tree + "/") for tree in _SYSTEM) or _WINDOWS.match(path):
        return {"system"}
    return set()


def _network_classes(path: str) -> set[PathClass]:
    connection = _NETWORK.match(path)
    return {"network"} if connection and not _NEAR.fullmatch(connection[1]) else set()


def _home_classes(whole: str, home: str | None) -> set[PathClass]:
    tilde = whole.startswith("~") and "/" not in whole
    return {"home"} if tilde or whole == home or _HOMES.fullmatch(whole) else set()


def _workdir_classes(path: str, whole: str, cwd: str) -> set[PathClass]:
    if cwd in (path, whole):
        return {"workdir"}
    if whole == ".." or whole.endswith("/..") or (cwd != "." and cwd.startswith(whole.rstrip("/") + "/")):
        return {"parent"}
    return set()


# Every path of one of the classes below holds one of these.
_MARKED = r"(^|/)~?\.[A-Za-z]|id_|/etc/|/spool/|Library|Jenkinsfile|-pipelines|claudebench"


def _secret_classes(path: str) -> set[PathClass]:
    if not expressions.found(_MARKED, path):
        return set()
    sorts: tuple[tuple[PathClass, re.Pattern[str]], ...] = (
        ("credentials", _CREDENTIALS), ("keys", _KEYS), ("startup", _STARTUP), ("history", _HISTORY),
        ("agent-settings", _AGENT_SETTINGS), ("claudebench-data", _OUR_DATA), ("git-hooks", _GIT_HOOKS), ("ci", _CI),
    )  # fmt: skip
    return {name for name, pattern in sorts if pattern.search(path)}
