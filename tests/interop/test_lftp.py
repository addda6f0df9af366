"""lftp beyond plain transfers: whole trees there and back, and their removal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.clients import Lftp
from tests.interop.live_server import Account, LiveServer

pytestmark = pytest.mark.interop

MakeFile = Callable[..., Path]


@pytest.fixture
def lftp(server: LiveServer, account: Account) -> Lftp:
    return Lftp(server, account)


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Every entry below `folder` with its content; folders have None."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def tree(tmp_path: Path, make_file: MakeFile) -> Path:
    root = tmp_path / "tree"
    for number, folder in enumerate(("", "a", "a/b", "照片", ".hidden folder")):
        (root / folder).mkdir(parents=True)
        for name in ("one.bin", ".dotfile", "文件 2.txt", "empty"):
            size = 0 if name == "empty" else 1000 * number + len(name)
            (root / folder / name).write_bytes(make_file("content", size).read_bytes())
    return root


def test_mirrors_a_tree_there_and_back(
    lftp: Lftp, server: LiveServer, account: Account, tree: Path, tmp_path: Path
) -> None:
    lftp.call(f'mirror -R --parallel=4 "{tree}" /tree')
    assert tree_of(server.home(account) / "tree") == tree_of(tree)
    lftp.call(f'mirror --parallel=4 /tree "{tmp_path / "back"}"')
    assert tree_of(tmp_path / "back") == tree_of(tree)


def test_a_second_mirror_has_nothing_to_do(lftp: Lftp, tree: Path) -> None:
    lftp.call(f'mirror -R "{tree}" /tree')
    assert "Transferring" not in lftp.call(f'mirror -R --verbose=3 "{tree}" /tree')


def test_removes_a_tree_with_hidden_files(lftp: Lftp, server: LiveServer, account: Account, tree: Path) -> None:
    empty = server.usage(account)
    lftp.call(f'mirror -R "{tree}" /tree', "rm -r /tree")
    assert list(server.home(account).iterdir()) == []
    server.assert_no_drift(account)
    assert server.usage(account) == empty


def test_renames_and_tells_sizes(lftp: Lftp, server: LiveServer, account: Account, make_file: MakeFile) -> None:
    output = lftp.call(
        "mkdir -p deep/er", f'put "{make_file(size=5000)}" -o deep/one', "mv deep/one deep/er/two", "du -b deep"
    )
    assert (server.home(account) / "deep/er/two").stat().st_size == 5000
    assert "5000" in output


def test_says_what_the_server_says(lftp: Lftp) -> None:
    with pytest.raises(pytest.fail.Exception, match="no such file or folder"):
        lftp.call("get /nothing -o /dev/null")
