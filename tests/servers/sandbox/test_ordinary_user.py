"""The same as an ordinary user, which a server should be: no control groups, the kernel's limits of each process."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.interop.live_server import require

from homeport.servers.sandbox.bubblewrap import PROGRAM

SOURCE = Path(__file__).parents[3] / "src"
PYTHON = Path("/usr/bin/python3")  # one that other users may run
NOBODY = 65534
SCRIPT = """
import sys
from pathlib import Path
from homeport.core.entering import open_folder
from homeport.core.tree import count_below
from homeport.servers.sandbox.bubblewrap import Confiner, prepare
from homeport.servers.sandbox.launch import Order, status_of
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.view import View
root = Path(sys.argv[1])
confiner = prepare(root / "scratch")
assert confiner.devices == {}, confiner
def run(script, **limits):
    seen = View(name="alice", home=root / "home")
    order = Order(argv=("sh", "-c", script), environment={"PATH": "/usr/bin"}, view=seen, limits=Limits(**limits))
    return status_of(confiner, order)
print(run("exit 7"))
print(run("touch f && chmod 755 f && ! chmod u+s f && ! unshare -U true && ! cat /etc/shadow && ! chmod 0 /dev/null"))
print(run("for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; exit 0", processes=5) != 0)
print(run("head -c 1 /dev/zero | tail -c 1 > /dev/null"))
print(run("dd if=/dev/zero of=/dev/null bs=300M count=1 || exit 5", memory_bytes=200 << 20))
run("mkdir -p d/e && echo hidden > d/e/f && chmod 0 d/e d .")
count = count_below(open_folder(root / "home", 0))
print(count.bytes, count.files)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not PYTHON.exists(), reason="the system has no python3 that others may run")
def test_commands_of_a_server_that_is_an_ordinary_user(tmp_path: Path) -> None:
    setpriv = require("setpriv")
    require(PROGRAM)
    tried = subprocess.run(
        [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "unshare", "-Ur", "true"], check=False
    )
    if tried.returncode:
        pytest.skip("this machine lets no ordinary user make namespaces")
    root = Path("/var/tmp") / f"homeport-test-{os.getpid()}"  # pytest's own folders are root's alone
    try:
        (root / "home").mkdir(parents=True)
        shutil.copytree(SOURCE, root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (root, root / "home"):
            os.chown(path, NOBODY, NOBODY)
        done = subprocess.run(
            [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", PYTHON, "-c", SCRIPT, root],
            env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout.split(), done.stderr) == (["7", "0", "True", "0", "5", "7", "4"], "")
        found = (root / "home" / "f").stat()
        assert (found.st_uid, found.st_mode & 0o7777) == (NOBODY, 0o755)
    finally:
        shutil.rmtree(root, ignore_errors=True)
