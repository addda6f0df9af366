from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.servers.extensions.contract import Context
from homeport.servers.extensions.loading import ExtensionUnusable, load_datagram, load_stream

CONTEXT = Context("upper")
EXAMPLES = str(Path(__file__).parents[3] / "examples")
LIFE = "    async def start(self): ...\n    async def stop(self): ...\n"
WHOLE = f"class Good:\n    def __init__(self, context): ...\n{LIFE}    async def connected(self, reader, writer): ...\n"


@pytest.fixture(autouse=True)
def own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, text: str) -> str:
    (folder / "stranger.py").write_text(text, encoding="utf-8")
    return str(folder)


def refusal(path: str, folder: str | None, *, udp: bool = False) -> str:
    with pytest.raises(ExtensionUnusable) as caught:
        (load_datagram if udp else load_stream)(CONTEXT, path, folder)
    return str(caught.value)


def test_the_examples_are_services() -> None:
    assert type(load_stream(CONTEXT, "upper_echo:UpperEcho", EXAMPLES)).__name__ == "UpperEcho"
    assert load_datagram(CONTEXT, "upper_datagrams:UpperDatagrams", EXAMPLES)
    assert sys.path[-1] == EXAMPLES  # once, and at the end


def test_a_service_is_told_its_name_and_options(tmp_path: Path) -> None:
    text = WHOLE.replace("context): ...", "context): self.context = context")
    service = load_stream(Context("upper", {"loud": True}), "stranger:Good", write(tmp_path, text))
    assert service.context == Context("upper", {"loud": True})  # type: ignore[attr-defined]


def test_methods_may_be_static_or_belong_to_the_class(tmp_path: Path) -> None:
    text = WHOLE.replace("async def stop(self)", "@staticmethod\n    async def stop()")
    assert load_stream(CONTEXT, "stranger:Good", write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        (
            "",
            "nowhere:Good",
            "cannot be found: there is no module nowhere; install it, or set services.upper.path to its folder",
        ),
        (
            "",
            "stranger.deeper:Good",
            "cannot be found: there is no module stranger.deeper; install it, or set services.upper.path to its folder",
        ),
        ("import absent_friend", "stranger:Good", "cannot be imported: ModuleNotFoundError: No module named 'absent_"),
        ("1 / 0", "stranger:Good", "cannot be imported: ZeroDivisionError: division by zero"),
        ("Goof = 1", "stranger:Good", "/stranger.py; did you mean Goof?"),
        ("", "stranger:Good", "/stranger.py"),
        ("Good = 1", "stranger:Good", "is no class but int"),
        (
            f"class Good:\n{LIFE}    async def connected(self, reader, writer): ...\n",
            "stranger:Good",
            "is no service for tcp: its constructor must take one argument, the context; see docs/adding.md",
        ),
        (
            "class Good:\n    def __init__(self, context): ...\n    stop = 1\n",
            "stranger:Good",
            "is no service for tcp: it must have `async def start(self)`; stop must be a method, "
            "`async def stop(self)`; it must have `async def connected(self, reader, writer)`; see docs/adding.md",
        ),
        (
            WHOLE.replace("async def connected", "def connected"),
            "stranger:Good",
            "is no service for tcp: connected must be async, `async def connected(self, reader, writer)`; see",
        ),
        (
            WHOLE.replace("reader, writer", "reader"),
            "stranger:Good",
            "is no service for tcp: connected must take 2 arguments, `async def connected(self, reader, writer)`; see",
        ),
        (
            WHOLE.replace("context): ...", "context): raise OSError('no room')"),
            "stranger:Good",
            "could not be constructed: OSError: no room",
        ),
    ],
)
def test_what_a_class_lacks_is_said(tmp_path: Path, text: str, path: str, said: str) -> None:
    refused = refusal(path, write(tmp_path, text))
    assert refused.startswith(f"services.upper: {path} ")
    assert said in refused


def test_a_service_for_tcp_is_none_for_udp() -> None:
    assert refusal("upper_echo:UpperEcho", EXAMPLES, udp=True) == (
        "services.upper: upper_echo:UpperEcho is no service for udp: it must have `def datagram(self, data, peer)`; "
        "see docs/adding.md"
    )


def test_an_answer_to_datagrams_cannot_be_awaited(tmp_path: Path) -> None:
    text = WHOLE + "    async def datagram(self, data, peer): ...\n"
    refused = refusal("stranger:Good", write(tmp_path, text), udp=True)
    assert "datagram must not be async, `def datagram(self, data, peer)`" in refused
