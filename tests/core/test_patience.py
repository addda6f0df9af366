from __future__ import annotations

import threading

import pytest

from homeport.core.errors import WouldBlock
from homeport.core.patience import Hurry, be_patient


def test_a_thread_is_patient_unless_it_is_in_a_hurry() -> None:
    be_patient()
    with Hurry(), pytest.raises(WouldBlock):
        be_patient()
    be_patient()


def test_one_threads_hurry_is_not_anothers() -> None:
    waited: list[bool] = []

    def wait() -> None:
        be_patient()
        waited.append(True)

    with Hurry():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert waited == [True]


def test_a_failure_ends_the_hurry() -> None:
    with pytest.raises(ValueError, match=r"^no$"), Hurry():
        raise ValueError("no")
    be_patient()
