"""Programs that run the command that their operands, options or input name."""

# ruff: noqa: E501 - a table, a line is a row

from __future__ import annotations

import pytest

from claudebench.hooks.shell import parse


def words(line: str) -> list[tuple[str, ...]]:
    script = parse(line)
    assert not script.unsure, script.unsure
    return [command.words for command in script.commands]


@pytest.mark.parametrize(
    "line",
    [
        "docker run --rm -it -v $PWD:/w -w /w image t x", "docker run -d -p 80:80 -e A=1 image t x", "docker exec -it c t x",
        "docker run --entrypoint t image x", "docker compose -f a.yml exec -T web t x", "docker-compose run --rm web t x",
        "podman exec -u root c t x", "nerdctl run image t x", "kubectl exec -it pod -n ns -c ctr -- t x", "oc exec pod -- t x",
        "nsenter -t 1 -m t x", "unshare -r t x", "systemd-run --user --scope -p A=1 t x", "setpriv --reuid 1 t x", "gosu root t x",
        "su-exec root t x", "tini -- t x", "dumb-init t x", "npx -y t x", "npx -c 't x'", "npm exec -- t x", "pnpm dlx t x",
        "uv run --with foo t x", "poetry run t x", "pipenv run t x", "bundle exec t x", "nix-shell -p a --run 't x'",
        "nix develop -c t x", "conda run -n e t x", "direnv exec . t x", "ls | entr -r t x", "ls | entr -s 't x'",
        "parallel t ::: x", "parallel 't {}' ::: x", "parallel ::: 't x'", "ionice -c 3 t x", "fakeroot t x", "proot -r d t x",
        "torsocks t x", "proxychains -f c t x", "tmux new-session -d -s n 't x'", "tmux send-keys -t n 't x' Enter",
        "tmux new -d \\; send-keys t Space x C-m", "screen -dmS n t x", "screen -S n -X stuff 't x\\n'", "at now <<< 't x'",
        "echo 't x' | batch", "git -c alias.y='!t x' y", "git config --global alias.y '!t x'", "git -c core.pager='t x' log",
        "git rebase -x 't x' main", "git bisect run t x", "git submodule foreach --recursive 't x'", "git clone 'ext::t x' d",
        "ssh -o ProxyCommand='t x' host", "ssh -oLocalCommand='t x' host", "tar --to-command='t x' -xf a",
        "tar -cf a b --checkpoint=1 --checkpoint-action=exec='t x'", "tar -I 't x' -xf a", "vim -c ':!t x' f", "watch -n 1 t x",
        "script -qc 't x' f", "su -c 't x'", "env - t x", "env =a t x", "env -S 't x'", "env -S t x", "find . -execdir t x \\;", "find . -ok t x \\;",
        "xargs -I{} t {} <<< x", "echo \"'x'\" | xargs t", "rsync -e 't x' a b", "jobs -x t x", "eval -- t x", "t2() { t x; }; t2",
        "exec <<< 't x'; sh", "f() { sh; }; f <<< 't x'", "eval sh <<< 't x'", "V=; $V t x", "V=' t x'; $V",
    ],
)  # fmt: skip
def test_the_command_behind_a_wrapper_is_found(line: str) -> None:
    """The command that a wrapper runs is judged like one of its own, in a container too."""
    assert ("t", "x") in words(line)


@pytest.mark.parametrize(
    "line",
    [
        "docker ps -a", "docker build -t x .", "docker compose up -d", "docker run -d --name x nginx", "kubectl get pods -n x",
        "npm run build", "uv pip install x", "cargo build", "tmux ls", "tmux attach -t x", "screen -ls", "at -l", "vim +10 f",
        "vim -c wq f", "git config user.name x", "git commit -m '!x'", "git push -u origin main", "tar xzf a.tgz -C d", "ls | xargs",
        "docker exec $(docker ps -q) ls", "((i++))", "echo $(<f)",
    ],
)  # fmt: skip
def test_everyday_uses_run_nothing_more(line: str) -> None:
    """Without a command of their own such programs run nothing, and leave no doubt."""
    wrappers = [command.wrappers for command in parse(line).commands if command.program != "ls"]

    assert not parse(line).unsure
    assert not any(wrappers)


@pytest.mark.parametrize(
    "line",
    [
        "cat f | xargs env", "xargs -n1 sh -c <<< 'a b'", "ls | parallel", "coproc sh", "echo a | xargs -d x bash -c",
        "mapfile -C 'a b' x", "hash -p ./a ls", "compgen -C a", "set -k", "shopt -s expand_aliases; alias k=a; k", "BASH_ALIASES[k]=a",
        "test -v 'a[$(b)]'", "[[ 'a[$(b)]' -eq 0 ]]", "declare 'a=($(b))'", "readonly V=a; V=b; $V", "declare -l V=A; $V",
        "for IFS in ,; do V=a,b; $V; done", "f() { shift $N; $1; }; f a b", "set -- $A b; $2", "V=a; V=b eval '$V'",
        "sh /dev/fd/3 3< f", ". /dev/fd/3", "a\n\\\nb c",
    ],
)  # fmt: skip
def test_what_is_only_known_when_it_runs_is_doubted(line: str) -> None:
    """A command that the line alone does not tell is a reason for doubt."""
    assert parse(line).unsure


def test_a_name_that_only_looks_versioned_is_a_program_of_its_own() -> None:
    """`env2` is not `env`; `python3.12` is `python`."""
    assert words("env2 t x") == [("env2", "t", "x")]
    assert ("t", "x") in words("python3.12 -c 'import os; os.system(\"t x\")'")
