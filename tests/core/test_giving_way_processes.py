"""Uploads of one account in several processes at once: the youngest give way, so exactly those that fit are stored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

PATIENCE_S = 120.0
BLOCKS, BLOCK = 10, 100
SIZE = BLOCKS * BLOCK
UPLOADS = 24  # in all processes together
FITTING = 13
GROWN = (BLOCKS - 1) * BLOCK
SURVIVORS = FITTING * SIZE // GROWN  # of uploads that have grown so far and no further

# All uploads begin before one writes; all that are left have grown before one ends.
WORKER = f"""
import json, random, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from homeport.core.errors import QuotaExceeded
from homeport.core.paths import VirtualPath
from tests.contract.house import House

def grow(upload, blocks, pace_s):
    for _ in range(blocks):
        time.sleep(random.random() * pace_s)
        try:
            upload.write(b"x" * {BLOCK})
        except QuotaExceeded as error:
            upload.abort(str(error))
            return False
    return True

def finish(upload, pace_s):
    if not grow(upload, 1, pace_s):
        return False
    upload.commit()
    return True

root, number, uploads, pace_s = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
with House.built(root) as house, house.open_home("ann") as home, ThreadPoolExecutor(uploads) as threads:
    begun = []
    for order in sys.stdin:
        if order == "begin\\n":
            begun.append(home.begin_upload(VirtualPath((f"{{number}}-{{len(begun)}}",))))
            print(json.dumps(begun[-1]._turn), flush=True)
        elif order == "grow\\n":
            grown = list(threads.map(lambda upload: grow(upload, {BLOCKS - 1}, pace_s), begun))
            # Who gave way while it wrote nothing finds out when it goes on.
            begun = [upload for upload, good in zip(begun, grown) if good]
            print("grown", flush=True)
        elif order == "tell\\n":
            print(json.dumps([upload._turn for upload in begun if upload._refusal is None]), flush=True)
        else:
            print(json.dumps(sum(threads.map(lambda upload: finish(upload, pace_s), begun))), flush=True)
"""


class Worker:
    def __init__(self, root: Path, number: int, pace_s: float) -> None:
        arguments = [str(root), str(number), str(UPLOADS), str(pace_s)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, what: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def ask(self, what: str) -> Any:
        self.order(what)
        return json.loads(self.answer())

    def end(self) -> None:
        self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0


@pytest.mark.parametrize("pace_s", [0.0, 0.02], ids=["as fast as they can", "slowly"])
@pytest.mark.parametrize("processes", [2, 3])
def test_the_oldest_that_fit_are_stored_wherever_they_are(tmp_path: Path, processes: int, pace_s: float) -> None:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=FITTING * SIZE)
        workers = [Worker(tmp_path, number, pace_s) for number in range(processes)]
        begun = [workers[number % processes].ask("begin") for number in range(UPLOADS)]
        assert begun == sorted(begun)
        for worker in workers:
            worker.order("grow")
        assert {worker.answer() for worker in workers} == {"grown"}
        left = [turn for worker in workers for turn in worker.ask("tell")]
        assert sorted(left) == begun[:SURVIVORS]
        for worker in workers:
            worker.order("finish")
        stored = [int(worker.answer()) for worker in workers]
        for worker in workers:
            worker.end()
        assert sum(stored) == FITTING
        assert house.usage("ann") == house.recount("ann") == Used(FITTING * SIZE, FITTING)
