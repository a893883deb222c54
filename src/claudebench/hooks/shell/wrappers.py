"""Wrappers: programs such as `sudo`, `docker run` and `timeout` that run the command named by their own operands.

A name of more than one word is a program with its verb. What is peeled off is in `peeling.py`.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace


class Wrapper(msgspec.Struct, frozen=True):
    """What stands between the name of a wrapper and the command that it runs."""

    values: frozenset[str] = frozenset()  # options that take the next word
    skip: int = 0  # operands that stand before the command
    code: frozenset[str] = frozenset()  # options whose value is a shell line
    tail: frozenset[str] = frozenset()  # options behind which all words are the command
    flags: frozenset[str] = frozenset()  # if given: the options that take no word, all others do
    entry: str = ""  # the option that names the program in place of the first operand left
    joined: bool = False  # the rest is joined by spaces and read as a shell line
    anywhere: bool = False  # options may stand behind operands; no command follows
    enters: frozenset[str] = frozenset()  # options that name the directory to run in
    dashes: bool = False  # the command stands behind `--`, if there is one


def _wrapper(values: str = "", skip: int = 0, *, code: str = "", tail: str = "", **how: bool) -> Wrapper:
    known = Wrapper(frozenset(values.split()), skip, frozenset(code.split()), frozenset(tail.split()))
    return replace(known, **how)


def _each(names: str, spec: Wrapper) -> dict[str, Wrapper]:
    return dict.fromkeys(names.split(", "), spec)


def _container(skip: int = 1, entry: str = "") -> Wrapper:
    return Wrapper(skip=skip, flags=_CONTAINER_FLAGS, entry=entry)


_CONTAINER_FLAGS = frozenset({
    "-d", "-i", "-t", "-P", "-q", "-T", "-l", "--detach", "--interactive", "--tty", "--rm", "--init", "--privileged",
    "--read-only", "--no-healthcheck", "--sig-proxy", "--publish-all", "--oom-kill-disable", "--quiet", "--no-TTY",
    "--no-deps", "--build", "--service-ports", "--use-aliases", "--quiet-pull", "--remove-orphans", "--stdin",
    "--replace", "--rmi", "--no-hosts", "--tls-verify", "--latest", "--help",
})  # fmt: skip
_SUDO = "-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --close-from --role --type --chdir --chroot"
_SSH = "-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w"
_GNU_PARALLEL = "-j -n -N -I -a -S -P -L -d --jobs --colsep --delay --timeout --joblog --tmpdir --workdir --arg-file"
_SYSTEMD = "-u -p -t -E -H -M --unit --property --slice --uid --gid --nice --working-directory --setenv --description"
_UV = "-p --with --python --project --directory --extra --group --env-file --index-url --with-requirements --package"
_NPX = "-p --package --node-arg"

# wrappers that hand the variables they see on to the command
HANDS_ON = frozenset({
    "env", "nice", "ionice", "timeout", "time", "nohup", "setsid", "stdbuf", "unbuffer", "command", "builtin", "exec",
    "coproc", "xargs", "find", "taskset", "chrt", "strace", "ltrace", "caffeinate", "cpulimit", "prlimit", "numactl",
    "flock", "setpriv", "eatmydata", "chronic", "systemd-inhibit", "xvfb-run", "busybox",
})  # fmt: skip
# programs with a verb: the options of each that take the next word
VERBS: dict[str, str] = {
    **dict.fromkeys(("docker", "podman", "nerdctl"), "-c -H -l --context --host --log-level --config --connection -n"),
    "docker compose": "-f -p --file --project-name --profile --env-file --project-directory --ansi --progress",
    "podman compose": "-f -p --file --project-name --profile --env-file",
    "nerdctl compose": "-f -p --file --project-name --profile --env-file",
    "docker-compose": "-f -p --file --project-name --profile --env-file --project-directory",
    "podman-compose": "-f -p --file --project-name --profile --env-file",
    "docker container": "", "podman container": "", "nerdctl container": "",
    **dict.fromkeys(("kubectl", "oc"), "-n -s --namespace --context --kubeconfig --cluster --user --as --server"),
    "pnpm": "-C --dir --filter -F", "npm": "-w --workspace --prefix -C", "yarn": "--cwd", "uv": "--directory --project",
    "poetry": "-C -P --directory --project", "hatch": "-e --env -p --project", "conda": "", "mamba": "",
    "micromamba": "", "direnv": "", "nix": "", "bundle": "", "pipenv": "", "pdm": "-p --project", "pipx": "",
    "mise": "-C --cd", "rbenv": "", "pyenv": "", "aws-vault": "", "doppler": "", "op": "", "lxc": "", "vagrant": "",
    "perf": "", "cargo": "",
}  # fmt: skip
WRAPPERS: dict[str, Wrapper] = {
    **_each("nohup, setsid, unbuffer, busybox, toybox, command, builtin, jobs, coproc", _wrapper()),
    **_each("eatmydata, chronic, pkexec, torsocks, torify, dumb-init, tini, rlwrap", _wrapper()),
    **_each("gosu, su-exec, setuidgid, s6-setuidgid, taskset, chrt, chroot, faketime", _wrapper(skip=1)),
    **_each("proxychains, proxychains4", _wrapper("-f")),
    "sudo": replace(_wrapper(_SUDO), enters=frozenset({"-D", "--chdir"})),
    "doas": _wrapper("-u -C"),
    "env": replace(_wrapper("-u -C --unset --chdir", code="-S --split-string"), enters=frozenset({"-C", "--chdir"})),
    "nice": _wrapper("-n --adjustment"),
    "ionice": _wrapper("-c -n --class --classdata"),
    "timeout": _wrapper("-s -k --signal --kill-after", skip=1),
    "time": _wrapper("-f -o --format --output"),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "exec": _wrapper("-a"),
    "strace": _wrapper("-o -e -p -s -u -E -a -b -O -S -X -P -I"),
    "ltrace": _wrapper("-o -e -p -s -u -a -n -l -x"),
    "gdb": _wrapper("-x -ex --command -d -p", tail="--args -args"),
    "valgrind": _wrapper(),
    "perf stat": _wrapper("-e -o -r -p -x"),
    "perf record": _wrapper("-e -o -F -c -p"),
    "hyperfine": _wrapper("-w -r -m -M --warmup --runs --export-json", code="-p --prepare --setup", joined=True),
    "caffeinate": _wrapper("-t -w"),
    "cpulimit": _wrapper("-l -p -e --limit"),
    "prlimit": _wrapper("-o --output"),
    "numactl": _wrapper("-N -m -C -i"),
    "nsenter": _wrapper("-t -S -G --target --setuid --setgid"),
    "unshare": _wrapper("-S -G -R -w --setuid --setgid --root --wd --map-user --map-group --propagation"),
    "setpriv": _wrapper("--reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits --pdeathsig"),
    "systemd-run": _wrapper(_SYSTEMD),
    "systemd-inhibit": _wrapper("--what --who --why --mode"),
    "fakeroot": _wrapper("-l -s -i -b --lib --faked"),
    "proot": _wrapper("-r -b -w -q -m -k --rootfs --bind --cwd --qemu"),
    "xvfb-run": _wrapper("-e -f -n -s -w --server-args --server-num"),
    "dbus-run-session": _wrapper("--config-file"),
    "entr": _wrapper(code="-s"),
    "sshpass": _wrapper("-p -f -d -P"),
    "watch": _wrapper("-n -q --interval", joined=True),
    "watchexec": _wrapper("-w -e -i -f --watch --exts --ignore --filter", joined=True),
    "nodemon": _wrapper("-w -e -i --watch --ext --ignore", code="-x --exec", anywhere=True),
    "xargs": _wrapper("-I -n -P -L -d -E -s -a --max-args --max-procs --max-lines --delimiter --arg-file --max-chars"),
    "parallel": _wrapper(_GNU_PARALLEL, joined=True),
    "screen": _wrapper("-S -c -h -s -t -e -p -T"),
    "flock": _wrapper("-w -E --timeout", skip=1, code="-c --command"),
    "ssh": _wrapper(_SSH, skip=1, joined=True),
    **_each("scp, sftp", _wrapper("-c -D -F -i -J -l -o -P -S -X", anywhere=True)),
    "man": _wrapper("-C -M -S -s -e -L -m -r", code="-P --pager", anywhere=True),
    "mosh": _wrapper("-p --ssh --server --client", skip=1),
    "su": _wrapper("-s -g -G -w --shell --group", code="-c --command --session-command", anywhere=True),
    "runuser": _wrapper("-u -s -g -G -w --user --shell", code="-c --command"),
    "sg": _wrapper(code="-c", anywhere=True),
    "script": _wrapper("-O -I -B -T -E -m -o", code="-c --command", anywhere=True),
    "tar": _wrapper(
        code="--to-command --use-compress-program -I --rsh-command -F --info-script --new-volume-script", anywhere=True
    ),
    "rsync": _wrapper(code="-e --rsh --rsync-path", anywhere=True),
    **_each("docker run, podman run, nerdctl run, docker create", _container(entry="--entrypoint")),
    **_each("docker container run, podman container run", _container(entry="--entrypoint")),
    **_each("docker exec, podman exec, nerdctl exec, docker container exec", _container()),
    **_each("docker compose exec, podman compose exec, nerdctl compose exec", _container()),
    **_each("docker compose run, podman compose run", _container(entry="--entrypoint")),
    **_each("docker-compose exec, podman-compose exec", _container()),
    **_each("docker-compose run, podman-compose run", _container(entry="--entrypoint")),
    **_each("kubectl exec, oc exec, oc rsh", _wrapper("-c -n -f --container --namespace", 1, dashes=True)),
    **_each("kubectl run, kubectl debug", _wrapper(dashes=True, anywhere=True)),
    **_each("lxc exec, aws-vault exec, direnv exec", _wrapper("--env --cwd --user", 1, dashes=True)),
    **_each("npx, bunx", _wrapper(_NPX, code="-c --call")),
    **_each("npm exec, npm x, pnpm exec, pnpm dlx, yarn dlx, yarn exec", _wrapper(_NPX, code="-c --call")),
    **_each("uv run, uvx", _wrapper(_UV)),
    **_each("poetry run, pipenv run, hatch run, pdm run, bundle exec, rbenv exec, pyenv exec", _wrapper()),
    **_each("pipx run, op run, doppler run", _wrapper("--spec --env-file --project --config", dashes=True)),
    **_each("conda run, mamba run, micromamba run", _wrapper("-n -p --name --prefix --cwd")),
    "mise exec": _wrapper(anywhere=True, dashes=True),
    "vagrant ssh": _wrapper(code="-c --command", anywhere=True),
    "cargo watch": _wrapper(code="-s --shell", anywhere=True),
    "nix-shell": _wrapper(code="--run --command", anywhere=True),
    **_each("nix develop, nix shell", _wrapper(tail="-c --command", anywhere=True)),
    **_each("xterm, urxvt, konsole", _wrapper(tail="-e", anywhere=True)),
}  # fmt: skip
