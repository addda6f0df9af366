from __future__ import annotations

from tests.servers.running import House, RunningServer


def test_going_around(any_server: RunningServer, house: House) -> None:
    with any_server.visitor() as wire:
        assert wire.ask("PWD") == '257 "/" is the current folder.'
        assert wire.ask('MKD a "quoted" name') == '257 "/a ""quoted"" name" is made.'
        assert (house.home() / 'a "quoted" name').is_dir()
        assert wire.ask('CWD a "quoted" name').startswith("250")
        assert wire.ask("PWD").startswith('257 "/a ""quoted"" name"')
        assert wire.ask("CWD ../..").startswith("250")
        assert wire.ask("PWD").startswith('257 "/"')
        assert wire.ask("CDUP").startswith("250")
        assert wire.ask('RMD a "quoted" name') == "250 The folder is removed."


def test_what_is_refused(server: RunningServer, house: House) -> None:
    (house.home() / "file").write_text("x")
    (house.home() / "full").mkdir()
    (house.home() / "full" / "inside").write_text("x")
    with server.visitor() as wire:
        for line, answer in (
            ("CWD nowhere", "550 /nowhere: no such file or folder."),
            ("CWD file", "550 /file: not a folder."),
            ("MKD full", "550 /full: exists already."),
            ("MKD no/where", "550 "),
            ("RMD full", "550 /full: the folder is not empty."),
            ("RMD /", "550 /: the home itself cannot be changed."),
            ("RMD file", "550 /file: not a folder."),
        ):
            assert wire.ask(line).startswith(answer), line


def test_a_folder_that_vanishes_under_the_session_is_550_and_the_session_lives(
    server: RunningServer, house: House
) -> None:
    (house.home() / "here").mkdir()
    with server.visitor() as wire:
        assert wire.ask("CWD here").startswith("250")
        (house.home() / "here").rmdir()
        assert wire.ask("SIZE x").startswith("550")
        assert wire.ask("CDUP").startswith("250")
