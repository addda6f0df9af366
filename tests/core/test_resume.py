from __future__ import annotations

import pytest

from homeport.core.errors import OffsetPastEnd
from homeport.core.resume import Beginning, Present, Start, start_of

EMPTY, STAGE, WHOLE = Beginning.EMPTY, Beginning.STAGE, Beginning.WHOLE

# whole, stage, offset, append -> beginning, offset; None: refused
CASES: list[tuple[int | None, int | None, int | None, bool, tuple[Beginning, int] | None]] = [
    (None, None, None, False, (EMPTY, 0)),
    (None, None, 0, False, (EMPTY, 0)),
    (10, 20, None, False, (EMPTY, 0)),
    (10, 20, 0, False, (EMPTY, 0)),
    (0, None, 0, False, (EMPTY, 0)),
    (10, None, 10, False, (WHOLE, 10)),
    (10, 20, 10, False, (WHOLE, 10)),
    (10, 20, 9, False, (STAGE, 9)),
    (10, 20, 20, False, (STAGE, 20)),
    (10, 5, 9, False, (WHOLE, 9)),
    (10, 5, 5, False, (STAGE, 5)),
    (10, None, 1, False, (WHOLE, 1)),
    (None, 5, 5, False, (STAGE, 5)),
    (None, 5, 6, False, None),
    (10, 5, 11, False, None),
    (5, 10, 11, False, None),
    (None, None, 1, False, None),
    (10, 20, None, True, (WHOLE, 10)),
    (0, 20, None, True, (WHOLE, 0)),
    (None, 20, None, True, (STAGE, 20)),
    (None, None, None, True, (EMPTY, 0)),
    (10, 20, 3, True, (WHOLE, 10)),
]


@pytest.mark.parametrize(("whole", "stage", "offset", "append", "expected"), CASES)
def test_where_an_upload_starts(
    whole: int | None, stage: int | None, offset: int | None, append: bool, expected: tuple[Beginning, int] | None
) -> None:
    present = Present(whole, stage)
    if expected:
        assert start_of("/f", present, offset=offset, append=append) == Start(*expected)
        return
    with pytest.raises(OffsetPastEnd) as caught:
        start_of("/f", present, offset=offset, append=append)
    size = max(whole or 0, stage or 0)
    assert str(caught.value) == f"/f: cannot restart at byte {offset}, only {size} bytes are there"


@pytest.mark.parametrize(
    ("whole", "stage", "expected"),
    [
        (10, 20, (STAGE, 10)),
        (10, 10, (STAGE, 10)),
        (10, 9, (WHOLE, 10)),
        (10, None, (WHOLE, 10)),
        (None, 10, (STAGE, 10)),
    ],
)
def test_who_knows_the_stage_goes_on_with_it_though_the_old_file_is_as_long(
    whole: int | None, stage: int | None, expected: tuple[Beginning, int]
) -> None:
    present = Present(whole, stage)
    assert start_of("/f", present, offset=10, append=False, knows_stage=True) == Start(*expected)
