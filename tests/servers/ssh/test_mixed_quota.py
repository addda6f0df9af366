"""FTP and SFTP side by side against one quota: what fits is stored, and never a byte more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from tests.contract import factory_ftp, factory_sftp
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, Refused, Used

UPLOADS, FITTING, SIZE, BLOCK = 50, 20, 20_000, 4_000


def test_fifty_uploads_through_both_at_once_store_exactly_what_fits(tmp_path: Path) -> None:
    with House.built(tmp_path) as house, factory_ftp.serve(house) as ftp, factory_sftp.serve(house) as sftp:
        house.account("eve", quota_bytes=FITTING * SIZE)
        clients: list[HomeUnderTest] = []
        for number in range(UPLOADS):
            house.connector = sftp if number % 2 else ftp
            clients.append(house.connect("eve"))
        together = Barrier(UPLOADS)
        refusals: list[Refused] = []

        def store(number: int) -> bool:
            together.wait(timeout=30)
            try:
                upload = clients[number].begin_put(f"/{number}")
                for _ in range(SIZE // BLOCK):
                    upload.send(b"x" * BLOCK)
                upload.finish()
            except Refused as refusal:
                refusals.append(refusal)
                return False
            return True

        with ThreadPoolExecutor(UPLOADS) as pool:
            stored = list(pool.map(store, range(UPLOADS)))
        house.close_clients()
        assert sum(stored) == FITTING
        assert all(Kind.QUOTA in refusal.kinds for refusal in refusals)
        assert house.usage("eve") == house.recount("eve") == Used(FITTING * SIZE, FITTING)
