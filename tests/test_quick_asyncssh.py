from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["homeport.servers.ssh.server", "homeport.client.ssh.connection"])
def test_no_compiler_is_run_to_load_asyncssh(module: str) -> None:
    program = f"""
import subprocess, sys
ran = []
sys.addaudithook(lambda event, arguments: ran.append(arguments) if event == "subprocess.Popen" else None)
import {module}, ctypes.util
assert "asyncssh" in sys.modules
assert ctypes.util.find_library.__name__ == "find_library"
print(ran)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
