"""Homes of one account in several processes: the quota holds, and what a killed process leaves is set right."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core.paths import VirtualPath

SIZE = 1000
PROCESSES, UPLOADS, FITTING = 3, 8, 13
PATIENCE_S = 60.0

PRELUDE = """
import sys, time
from pathlib import Path
from homeport.core.errors import QuotaExceeded
from homeport.core.paths import VirtualPath
from tests.contract.house import House

root, number = Path(sys.argv[1]), sys.argv[2]
"""
STORE = f"""
stored = 0
with House.built(root) as house, house.open_home("ann") as home:
    for upload_number in range({UPLOADS}):
        with home.begin_upload(VirtualPath((f"{{number}}-{{upload_number}}",))) as upload:
            try:
                upload.write(b"x" * {SIZE})
            except QuotaExceeded:
                continue
            upload.commit()
            stored += 1
print(stored)
"""
STALL = """
with House.built(root) as house, house.open_home("ann") as home:
    upload = home.begin_upload(VirtualPath(("file",)))
    upload.write(b"x" * 600)
    print("written", flush=True)
    time.sleep(600)
"""


def run(script: str, root: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(root), str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_several_processes_store_exactly_what_fits(tmp_path: Path) -> None:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=FITTING * SIZE)
        workers = [run(STORE, tmp_path, number) for number in range(PROCESSES)]
        stored = [int(worker.communicate(timeout=PATIENCE_S)[0]) for worker in workers]
        assert sum(stored) == FITTING
        assert house.usage("ann") == house.recount("ann") == Used(FITTING * SIZE, FITTING)


def test_an_upload_of_a_killed_process_goes_on_in_another(tmp_path: Path) -> None:
    file = VirtualPath(("file",))
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=1000)
        with house.open_home("ann") as home:
            with home.begin_upload(file) as upload:
                upload.write(b"o" * 500)
                upload.commit()
            worker = run(STALL, tmp_path, 0)
            assert worker.stdout
            assert worker.stdout.readline() == "written\n"
            worker.send_signal(signal.SIGKILL)
            worker.communicate(timeout=PATIENCE_S)
            deadline = time.monotonic() + PATIENCE_S
            while not house.services.ledger.recover(lambda _: house.count("ann")):
                assert time.monotonic() < deadline
            assert house.usage("ann") == house.recount("ann") == Used(1100, 2)
            with home.begin_upload(file, offset=600) as upload:
                upload.write(b"x" * 100)
                upload.commit(expected_size=700)
            assert house.usage("ann") == house.recount("ann") == Used(700, 1)
