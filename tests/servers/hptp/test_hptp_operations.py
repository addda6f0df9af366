"""Every operation over a real socket, as docs/hptp.md says it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.servers.hptp.client import Failed, Gone, HptpClient
from tests.servers.hptp.serving import SETTINGS, Running, serving
from tests.servers.running import NAME, PASSWORD, House, built_house

from homeport.core.account_fields import AccountLimits
from homeport.core.rights import Rights
from homeport.core.sessions import SessionLimits

BIG = Random(1).randbytes(3 * 2**20 + 321)  # the same in every process that collects these tests


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        house.accounts.create(NAME, PASSWORD)
        yield house


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, house: House) -> Iterator[Running]:
    with serving(house, loop=request.param) as server:
        yield server


@pytest.fixture
def client(server: Running) -> Iterator[HptpClient]:
    with server.client() as client:
        yield client


def refused(client: HptpClient, op: str, **arguments: Any) -> str:
    with pytest.raises(Failed) as caught:
        client.ask(op, **arguments)
    return caught.value.code


def test_the_login_tells_the_account(server: Running) -> None:
    with server.visitor() as client:
        account = client.log_in(NAME, PASSWORD)
    assert account["name"] == NAME
    assert "read" in account["rights"]  # type: ignore[operator]


def test_get_and_put(client: HptpClient, house: House) -> None:
    assert client.put("/big", BIG) == {"size": len(BIG), "sha256": sha256(BIG)}
    assert (house.home() / "big").read_bytes() == BIG
    found = client.finish(client.open("get", path="/big"))
    assert found.body == BIG
    assert found.head is not None
    assert (found.head["size"], found.head["sha256"]) == (len(BIG), sha256(BIG))
    assert found.result() == {"size": len(BIG), "sha256": sha256(BIG)}


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, None, BIG), (5, 10, BIG[5:15]), (len(BIG), None, b""), (len(BIG) - 3, 100, BIG[-3:]), (0, 0, b"")],
)
def test_ranges(client: HptpClient, house: House, offset: int, length: int | None, expected: bytes) -> None:
    (house.home() / "big").write_bytes(BIG)
    arguments = {"offset": offset} | ({} if length is None else {"length": length})
    found = client.finish(client.open("get", path="/big", **arguments))
    assert found.body == expected
    assert found.result() == {"size": len(expected), "sha256": None}


def test_a_thousand_small_files_without_waiting(client: HptpClient, house: House) -> None:
    contents = {f"/tree/{number % 7}/{number}": os.urandom(number) for number in range(1000)}
    streams = [client.begin_put(path, data, size=len(data), parents=True) for path, data in contents.items()]
    for stream, data in zip(streams, contents.values(), strict=True):
        assert client.finish(stream).result() == {"size": len(data), "sha256": sha256(data)}
    gets = [client.open("get", path=path) for path in contents]
    assert [client.finish(stream).body for stream in gets] == list(contents.values())
    walked = client.finish(client.open("walk", path="/tree", digests=True))
    files = {f"/tree/{item['path']}": item["sha256"] for item in walked.items if item["kind"] == "file"}
    assert files == {path: sha256(data) for path, data in contents.items()}
    assert walked.result() == {"count": 1007}


def test_one_path_many_times_in_flight_is_done_in_order(client: HptpClient, house: House) -> None:
    contents = [f"version {number}".encode() * 1000 for number in range(50)]
    streams = []
    for number, data in enumerate(contents):
        announced = {"size": len(data)} if number % 3 else {}
        streams.append(client.begin_put("/same", data, **announced))
        streams.append(client.open("digest", path="/same"))
    answers = [client.finish(stream) for stream in streams]
    changes = [client.open("move", source="/same", target="/moved"), client.open("move", source="/moved", target="/x")]
    answers += [client.finish(stream) for stream in [*changes, client.open("get", path="/x")]]
    digests = [sha256(data) for data in contents]
    assert [answer.result()["sha256"] for answer in answers[:100:2]] == digests
    # Who looks waits for those before, and nobody waits for him: he may see what came after.
    assert all(digests.index(str(one.result()["value"])) >= place for place, one in enumerate(answers[1:100:2]))
    assert answers[-1].body == contents[-1]


@pytest.mark.parametrize("size", [0, 1, 65_536, 131_072, 131_073])
def test_sizes_around_the_bounds(client: HptpClient, size: int) -> None:
    data = BIG[:size]
    for arguments in ({"size": size}, {}):
        stream = client.begin_put("/file", data, **arguments)
        assert client.finish(stream).result() == {"size": size, "sha256": sha256(data)}
        assert client.get("/file") == data


def test_a_time_that_the_client_sets(client: HptpClient, house: House) -> None:
    for size in (10, len(BIG)):
        client.put("/old", BIG[:size], mtime_ns=1_000_000_000_000_000_123)
        assert (house.home() / "old").stat().st_mtime_ns == 1_000_000_000_000_000_123
        assert client.ask("stat", path="/old")["sha256"] == sha256(BIG[:size])


def test_times_that_64_bits_do_not_hold(client: HptpClient, house: House) -> None:
    """A file dated 2300 once ended every connection that listed it."""
    for name, moment in (("late", 10_400_000_000 * 10**9), ("early", -9_300_000_000 * 10**9)):
        (house.home() / name).write_bytes(b"x")
        os.utime(house.home() / name, ns=(0, moment))
    found = {item["name"]: int(str(item["mtime_ns"])) for item in client.finish(client.open("list", path="/")).items}
    assert found["late"] == 2**63 - 1
    assert found["early"] >= -(2**63)  # the disk may not hold it either
    assert client.ask("stat", path="/late")["mtime_ns"] == 2**63 - 1
    assert client.get("/late") == b"x"


def test_a_time_needs_the_right(server: Running, house: House) -> None:
    house.accounts.update(NAME, rights=Rights.ALL & ~Rights.CHANGE)
    with server.client() as client:
        client.put("/new", b"x", mtime_ns=10**18)
        assert abs((house.home() / "new").stat().st_mtime - time.time()) < 60


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("request_", "trailer", "code"),
    [
        ({"sha256": "0" * 64}, {}, "digest-mismatch"),
        ({}, {"sha256": "0" * 64}, "digest-mismatch"),
        ({}, {"size": 3}, "size-mismatch"),
        ({"sha256": "0" * 64}, {"sha256": "1" * 64}, "digest-mismatch"),
        ({}, {"size": -1}, "request-malformed"),
        ({}, {"sha256": "xyz"}, "request-malformed"),
    ],
)
def test_what_does_not_fit_is_not_stored(
    client: HptpClient, house: House, announced: bool, request_: dict[str, Any], trailer: dict[str, Any], code: str
) -> None:
    stream = client.open("put", path="/file", **request_, **({"size": 4} if announced else {}))
    client.send_body(stream, b"data")
    client.engine.send_end(stream, trailer)
    with pytest.raises(Failed) as caught:
        client.finish(stream)
    assert caught.value.code == code
    assert not (house.home() / "file").exists()


def test_more_than_was_announced(client: HptpClient) -> None:
    stream = client.open("put", path="/file", size=4)
    client.send_body(stream, b"too much")
    with pytest.raises(Failed, match="size-mismatch"):
        client.finish(stream)
    client.put("/file", b"again")


def test_resume(server: Running) -> None:
    with server.client() as client:
        stream = client.open("put", path="/file")
        client.send_body(stream, BIG[:2_000_000])
        client.engine.cancel(stream, "enough")
        with pytest.raises(Failed, match="cancelled"):
            client.finish(stream)
    with server.client() as client:
        assert client.ask("resume_size", path="/file") == {"size": 2_000_000}
        size = 2_000_000
        stream = client.open("put", path="/file", resume=True, size=len(BIG), sha256=sha256(BIG))
        client.wait(lambda: stream in client.streams and client.streams[stream].head)
        assert client.streams[stream].head == {
            "offset": size,
            "prefix_sha256": sha256(BIG[:size]),
        }
        client.send_body(stream, BIG[size:])
        client.engine.send_end(stream, {})
        client.finish(stream)
        assert client.get("/file") == BIG


@pytest.mark.parametrize("arguments", [{"resume": True}, {"resume": True, "offset": len(BIG)}], ids=["asks", "knows"])
def test_what_came_is_gone_on_with_though_the_old_file_is_as_long(
    client: HptpClient, arguments: dict[str, Any]
) -> None:
    client.put("/file", bytes(len(BIG)))
    stream = client.open("put", path="/file")
    client.send_body(stream, BIG)
    client.engine.cancel(stream, "cut off before it was answered")
    with pytest.raises(Failed, match="cancelled"):
        client.finish(stream)
    stream = client.open("put", path="/file", **arguments)
    client.engine.send_end(stream, {"size": len(BIG), "sha256": sha256(BIG)})
    assert client.finish(stream).result()["sha256"] == sha256(BIG)
    assert client.get("/file") == BIG


def test_append_new_and_unique(client: HptpClient) -> None:
    client.put("/file", b"one")
    stream = client.open("put", path="/file", append=True)
    client.send_body(stream, b"two")
    client.engine.send_end(stream, {})
    client.finish(stream)
    assert client.get("/file") == b"onetwo"
    with pytest.raises(Failed, match="already-exists"):
        client.put("/file", b"x", new=True)
    path = str(client.put("/file", b"unique", unique=True)["path"])
    assert path.startswith("/file.")
    assert client.get(path) == b"unique"
    assert refused(client, "put", path="/x", append=True, offset=3) == "request-malformed"


def test_folders(client: HptpClient, house: House) -> None:
    client.ask("mkdir", path="/a/b/c", parents=True)
    client.ask("mkdir", path="/a/b/c", parents=True)
    assert refused(client, "mkdir", path="/a/b/c") == "already-exists"
    assert refused(client, "mkdir", path="/x/y") == "not-found"
    client.put("/a/file", b"x")
    assert refused(client, "mkdir", path="/a/file/under", parents=True) == "not-a-directory"
    assert refused(client, "mkdir", path="/a/file", parents=True) == "already-exists"
    client.ask("mkdir", path="/", parents=True)
    os.mkfifo(house.home() / "pipe")
    listed = client.finish(client.open("list", path="/", digests=True))
    assert {item["name"]: item["kind"] for item in listed.items} == {"a": "directory", "pipe": "other"}
    assert listed.result() == {"count": 2}
    client.ask("move", source="/a/file", target="/moved")
    client.ask("copy", source="/moved", target="/copied")
    assert client.get("/copied") == b"x"
    client.ask("remove", path="/moved", kind="file")
    assert refused(client, "remove", path="/a", kind="directory") == "directory-not-empty"
    assert refused(client, "list", path="/nowhere") == "not-found"
    assert refused(client, "walk", path="/copied") == "not-a-directory"


def test_a_tree_with_links_and_a_folder_that_cannot_be_read(client: HptpClient, house: House) -> None:
    client.put("/tree/file", b"x", parents=True)
    (house.home() / "tree" / "to file").symlink_to("file")
    (house.home() / "tree" / "to itself").symlink_to(".")
    (house.home() / "tree" / "out").symlink_to("/etc")
    os.mkdir(bytes(house.home() / "tree") + b"/\xff")
    walked = {json.dumps(item["path"]): item for item in client.finish(client.open("walk", path="/tree")).items}
    kinds = {name: item["kind"] for name, item in walked.items()}
    assert kinds == {
        '"file"': "file",
        '"to file"': "file",
        '"to itself"': "link",
        '"out"': "link",
        '{"b": "/w=="}': "directory",
    }


def test_facts(client: HptpClient) -> None:
    client.put("/file", b"x" * 10)
    assert client.ask("set_times", path="/file", mtime_ns=10**18)["mtime_ns"] == 10**18
    assert client.ask("set_mode", path="/file", mode=0o4640)["mode"] == 0o640
    found = client.ask("stat", path="/file")
    assert (found["kind"], found["size"], found["mode"], found["sha256"]) == ("file", 10, 0o640, sha256(b"x" * 10))
    assert client.ask("digest", path="/file", algorithm="MD5", start=2, end=4) == {
        "algorithm": "MD5",
        "value": hashlib.md5(b"xx").hexdigest(),
    }
    usage = client.ask("usage")
    assert (usage["used_bytes"], usage["quota_bytes"]) == (10, None)
    client.ask("reserve", size=1000)
    assert client.ask("ping") == {}
    assert client.ask("services") == {"services": {"ftp": {"port": 2121}}}


@pytest.mark.parametrize(
    ("op", "arguments", "code"),
    [
        ("delete", {}, "op-unknown"),
        ("stat", {}, "request-malformed"),
        ("stat", {"path": 3}, "request-malformed"),
        ("stat", {"path": {"b": "??"}}, "request-malformed"),
        ("stat", {"path": {"b": "YQ=="}}, "request-malformed"),
        ("stat", {"path": "relative"}, "invalid-path"),
        ("stat", {"path": ""}, "invalid-path"),
        ("stat", {"path": "/a\0b"}, "invalid-path"),
        ("stat", {"path": "/" + "x" * 256}, "invalid-path"),
        ("get", {"path": "/a", "offset": -1}, "request-malformed"),
        ("get", {"path": "/a", "offset": True}, "request-malformed"),
        ("remove", {"path": "/a", "kind": "tree"}, "request-malformed"),
        ("set_mode", {"path": "/a", "mode": 0o10000}, "request-malformed"),
        ("set_times", {"path": "/a", "mtime_ns": "now"}, "request-malformed"),
        ("mkdir", {"path": "/a", "parents": 1}, "request-malformed"),
        ("digest", {"path": "/a", "algorithm": "ROT13"}, "request-malformed"),
        ("put", {"path": "/a", "sha256": "AB"}, "request-malformed"),
        ("token.create", {"label": ""}, "request-malformed"),
        ("token.create", {"label": "x" * 300}, "request-malformed"),
        ("token.revoke", {"id": "nobody's"}, "token-not-found"),
        ("get", {"path": "/a"}, "not-found"),
        ("get", {"path": "/"}, "is-a-directory"),
    ],
)
def test_what_cannot_be_done(client: HptpClient, op: str, arguments: dict[str, Any], code: str) -> None:
    assert refused(client, op, **arguments) == code
    assert client.ask("ping") == {}


def test_events(server: Running) -> None:
    with server.client() as watcher, server.client() as other:
        other.ask("mkdir", path="/watched")
        stream = watcher.open("events", path="/watched")
        watcher.ask("ping")
        time.sleep(0.05)  # two files within one tick of the file system's clock look like one change
        give_up_at = time.monotonic() + 10
        number = 0
        while not (watcher.streams.get(stream) and watcher.streams[stream].items):
            other.put(f"/watched/{number}", b"x")
            watcher.ask("ping")
            number += 1
            assert time.monotonic() < give_up_at
        assert watcher.streams[stream].items[0] == {"path": "/watched"}
        watcher.engine.cancel(stream, "enough")
        with pytest.raises(Failed, match="cancelled"):
            watcher.finish(stream)
        assert refused(watcher, "events", path="/watched/0") == "not-a-directory"
        gone = watcher.open("events", path="/nowhere")
        with pytest.raises(Failed, match="not-found"):
            watcher.finish(gone)


def test_events_are_bounded(client: HptpClient) -> None:
    streams = [client.open("events", path="/") for _ in range(17)]
    with pytest.raises(Failed, match="too-many-transfers"):
        client.finish(streams[-1])


def test_tokens(server: Running, client: HptpClient) -> None:
    made = client.ask("token.create", label="laptop")
    with server.visitor() as other:
        assert other.log_in(NAME, str(made["secret"]), token=str(made["id"]))["name"] == NAME
    listed: Any = client.ask("token.list")["tokens"]
    [token] = listed
    assert (token["id"], token["label"]) == (made["id"], "laptop")
    assert token["last_used"] is not None
    client.ask("token.revoke", id=made["id"])
    with server.visitor() as other, pytest.raises(Failed, match="login-refused"):
        other.log_in(NAME, str(made["secret"]), token=str(made["id"]))


def test_quota(server: Running, house: House) -> None:
    house.accounts.update(NAME, quota_bytes=1000)
    with server.client() as client:
        with pytest.raises(Failed) as caught:
            client.put("/small", b"x" * 1001)
        assert (caught.value.code, caught.value.details["limit"]) == ("quota-exceeded", 1000)
        with pytest.raises(Failed, match="quota-exceeded"):
            client.put("/large", BIG)
        client.put("/fits", b"x" * 1000)
        assert client.ask("usage")["used_bytes"] == 1000


def test_rates(server: Running, house: House) -> None:
    house.accounts.update(NAME, limits=AccountLimits(upload_bytes_per_s=2_000_000, download_bytes_per_s=2_000_000))
    with server.client() as client:
        began = time.monotonic()
        client.put("/file", BIG)
        assert client.get("/file") == BIG
        assert time.monotonic() - began > 0.8


def test_kick_ends_a_session_with_the_reason(server: Running) -> None:
    with server.client() as client:
        client.ask("ping")
        [record] = server.core.sessions.snapshot()
        assert (record.protocol, record.account, record.peer) == ("hptp", NAME, "127.0.0.1")
        assert server.core.sessions.kick(NAME, "the administrator says so") == 1
        client.hear_all()
        assert client.goodbye is not None
        assert (client.goodbye.code, client.goodbye.message) == ("kicked", "the administrator says so")


def test_a_session_too_many(house: House) -> None:
    house.accounts.update(NAME, limits=AccountLimits(max_sessions=1))
    alone = pytest.raises(Failed, match="too-many-sessions")
    with serving(house) as server, server.client(), server.visitor() as second, alone:
        second.log_in(NAME, PASSWORD)
    with serving(house, limits=SessionLimits(total=0)) as server, pytest.raises((Gone, OSError)):
        server.visitor().log_in(NAME, PASSWORD)


def test_draining_lets_requests_end(server: Running, house: House) -> None:
    with server.client() as client, server.client() as idle:
        stream = client.open("put", path="/file")
        client.send_body(stream, BIG[:1000])
        client.ask("ping")
        idle.ask("ping")
        server.call(lambda: server.loop.create_task(server.server.drain(10)) and None)
        idle.hear_all()
        assert idle.goodbye is not None
        assert idle.goodbye.code == "going-away"
        client.send_body(stream, BIG[1000:2000])
        client.engine.send_end(stream, {})
        assert client.finish(stream).result()["size"] == 2000
        client.hear_all()
    assert (house.home() / "file").read_bytes() == BIG[:2000]


def test_a_reload_takes_the_certificate_anew(server: Running, house: House) -> None:
    from tests.servers.running import certificate_in

    with server.client() as before:
        old = before.certificate
        certificate_in(house.root)
        server.call(lambda: server.server.reload(SETTINGS))
        with server.client() as after:
            assert after.certificate != old
        assert before.ask("ping") == {}


def test_a_unix_socket(house: House, tmp_path: Path) -> None:
    with serving(house, replace(SETTINGS, listen=(f"unix:{tmp_path / 's'}",))) as server, server.client() as client:
        client.put("/file", b"x")
        assert server.core.sessions.snapshot()[0].peer == "unix"


def test_the_log_tells_who_came_and_what_they_did(server: Running, house: House) -> None:
    with server.client() as client:
        client.put("/file", b"x")
    with server.visitor() as client, pytest.raises(Failed):
        client.log_in(NAME, "wrong")
    while len(server.core.sessions):
        time.sleep(0.005)
    house.services.audit.flush()
    lines = [json.loads(line) for line in (house.root / "audit.jsonl").read_text().splitlines()]
    told = [(line["event"], line.get("tls") or line.get("path") or line.get("reason")) for line in lines]
    assert ("login", "TLSv1.3") in told
    assert ("upload", "/file") in told
    assert ("login refused", "wrong password") in told
    assert "logout" in [event for event, _ in told]
    assert PASSWORD not in (house.root / "audit.jsonl").read_text()
