"""Code for interpreters on the command line: what it runs, deletes and writes."""

from __future__ import annotations

import pytest

from claudebench.hooks.shell import parse

EVERYDAY = [
    "python -c \"import json,sys; print(json.load(sys.stdin)['a'])\"",
    "python3 -c \"import os; print(os.path.exists('/x'), os.listdir('.'))\"",
    "python3 -c \"print(open('f').read(), '$X')\"",
    "python3 - <<'EOF'\nimport re\np='src/x.py'\ns=open(p).read()\nopen(p,'w').write(s.replace('a','b'))\nEOF",
    "python -c \"from pathlib import Path\nfor p in Path('src').rglob('*.py'): p.write_text(p.read_text())\"",
    "python -c \"import subprocess; subprocess.run(['git','status'], capture_output=True)\"",
    "python -c \"x=[1]; x.remove(1); d={}; d.copy(); 'a'.replace('a','b'); import re; re.compile('a')\"",
    "python -c \"import tempfile,os; open(os.path.join(tempfile.mkdtemp(),'x'),'w')\"",
    "python3 -m pytest -c x; python3 script.py -c y; echo 1 | python3 -m json.tool",
    'node -e "console.log(process.version)"',
    "node -p \"require('fs').readFileSync('a','utf8')\"",
    "node -e \"console.log(/a/g.exec('abc'), require('./package.json').version)\"",
    "node -e \"require('fs').writeFileSync('out.json', JSON.stringify({a:1}))\"",
    "awk '{print $1}' f",
    "awk -F: '$3 > 1000 {print $1}' /etc/passwd",
    "awk '/foo|bar/ {n++} { if ($1 > 5) print $1 } END { print n/NR, (a > b) ? 1 : 2 }' f",
    "perl -pe 's/a/b/' f",
    "perl -ne 'print if /system|exec/' f",
    "perl -i -pe 's/system\\(\"a\"\\)/b/g' f",
    "ruby -e 'puts RUBY_VERSION'",
    "php -r 'echo PHP_VERSION;'",
]


@pytest.mark.parametrize("line", EVERYDAY)
def test_everyday_code_leaves_no_doubt(line: str) -> None:
    """Code that prints, reads and writes into the workspace is followed without a doubt."""
    assert not parse(line).unsure


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python -c \"import os; os.system('t x')\"", ("t", "x")),
        ('python3.11 -c \'import subprocess as s; s.run(["t","x"])\'', ("t", "x")),
        ("python -c 'import subprocess; subprocess.run(\"t x\", shell=True)'", ("t", "x")),
        ("python -c 'from os import system as f; f(\"t x\")'", ("t", "x")),
        ('python -c \'__import__("os").system("t x")\'', ("t", "x")),
        ('python -c \'import os; getattr(os,"system")("t x")\'', ("t", "x")),
        ('python -c \'exec("import os; os.system(\\"t x\\")")\'', ("t", "x")),
        ('python -c \'import subprocess; subprocess.run(["bash"], input="t x")\'', ("t", "x")),
        ("python -c 'import subprocess; subprocess.Popen(\"t x\".split())'", ("t", "x")),
        ('echo \'import os; os.execvp("t", ["t","x"])\' | python3', ("t", "x")),
        ('python <<< \'import pty; pty.spawn(["t","x"])\'', ("t", "x")),
        ("python -c 'import shutil, os; shutil.rmtree(os.path.expanduser(\"~/x\"))'", ("rm", "-r", "~/x")),
        ("python -c 'import shutil; shutil.rmtree(\"~/x\")'", ("rm", "-r", "./~/x")),
        ('python -c \'from pathlib import Path; (Path.home()/".ssh"/"k").unlink()\'', ("rm", "~/.ssh/k")),
        ('python -c \'import os; [os.remove(p) for p in ["/a","/b"]]\'', ("rm", "/b")),
        ('python -c \'import os; d="/a"; os.unlink(f"{d}/x")\'', ("rm", "/a/x")),
        ("perl -e 'system(\"t x\")'", ("t", "x")),
        ('perl -ne \'s/"//; exec "t", "x"\'', ("t", "x")),
        ("perl -e '`t x`'", ("t", "x")),
        ("perl -e 'qx{t x}'", ("t", "x")),
        ('perl -e \'open(F, "-|", "t x")\'', ("t", "x")),
        ("perl -MFile::Path -e 'rmtree(\"/x\")'", ("rm", "-r", "/x")),
        ('ruby -e \'system("t", "x")\'', ("t", "x")),
        ("ruby -e '%x(t x)'", ("t", "x")),
        ("ruby -rfileutils -e 'FileUtils.rm_rf \"/x\"'", ("rm", "-r", "/x")),
        ("node -e \"require('child_process').execSync('t x')\"", ("t", "x")),
        ("node -e \"const {spawn}=require('child_process'); spawn('t',['x'])\"", ("t", "x")),
        ("node <<E\nrequire('child_process').exec('t x')\nE", ("t", "x")),
        ("node -e \"fs.rmSync('/x',{recursive:true})\"", ("rm", "-r", "/x")),
        ('deno eval \'new Deno.Command("t", {args: ["x"]}).output()\'', ("t", "x")),
        ('bun -e \'Bun.spawn(["t","x"])\'', ("t", "x")),
        ("php -r 'shell_exec(\"t x\");'", ("t", "x")),
        ("php -r 'unlink(\"/x\");'", ("rm", "/x")),
        ("awk 'BEGIN { system(\"t x\") }'", ("t", "x")),
        ("awk 'BEGIN { \"t x\" | getline z }'", ("t", "x")),
        ("awk '{ print $1 | \"t x\" }' f", ("t", "x")),
    ],
)
def test_what_code_runs_and_deletes_is_judged(line: str, expected: tuple[str, ...]) -> None:
    """A dangerous call with literal arguments is noted as the command that does the same."""
    script = parse(line)

    assert not script.unsure
    assert expected in [command.words for command in script.commands]


@pytest.mark.parametrize(
    "line",
    [
        'python -c \'open("/etc/x","w")\'',
        'python -c \'from pathlib import Path; Path("/etc/x").write_text("a")\'',
        'perl -e \'open(my $f, ">", "/etc/x")\'',
        "perl -e 'open(F, \">/etc/x\")'",
        'ruby -e \'File.write("/etc/x", "a")\'',
        "node -e \"fs.writeFileSync('/etc/x','a')\"",
        'php -r \'file_put_contents("/etc/x","a");\'',
        'awk \'BEGIN { print "a" > "/etc/x" }\'',
    ],
)
def test_what_code_writes_is_a_redirection(line: str) -> None:
    """A file that code writes by a literal path is noted like a redirection to it."""
    assert "/etc/x" in [one.target for command in parse(line).commands for one in command.redirects if one.writes]


@pytest.mark.parametrize(
    "line",
    [
        "python -c 'import os; os.system(input())'",
        "python -c 'exec(x)'",
        "python -c 'import os; f = os.system; f(\"a\")'",
        "python -c 'import os; os.system(\"a\"'",
        "python -c 'import os; os.unlink(d)'",
        "python -c 'import os; getattr(os, n)(\"a\")'",
        'python -c \'import os; os.__dict__["system"]("a")\'',
        "python -c 'import ctypes'",
        "python -c '" + "a=b;b=a;" * 9 + 'open(a,"w")\'',
        'python -c "$CODE"',
        "perl -e 'system $x'",
        'perl -e \'eval "a" . "b"\'',
        "ruby -e 'Kernel.send(:system, x)'",
        "node -e \"require('child_process')['ex'+'ec']('a')\"",
        "node -e \"const {execSync: e}=require('child_process'); e('a')\"",
        'node -e "fs.unlinkSync(p)"',
        'php -r \'$f="system"; $f("a");\'',
        "awk '{ system(\"rm \" $1) }' f",
        "awk '{ print | $1 }' f",
    ],
)
def test_code_that_is_only_known_when_it_runs_is_doubted(line: str) -> None:
    """A dangerous call whose argument is no plain literal, or that hides, is a reason for doubt."""
    assert parse(line).unsure
