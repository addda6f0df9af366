from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from homeport.config.load import examine, load, nearest, parse_value
from homeport.config.model import Settings, key_paths
from homeport.config.problems import ConfigError, Problem

ALL_OFF = "\n".join(f"[{name}]\nenabled = false" for name, section in Settings() if hasattr(section, "enabled"))


def write(directory: Path, text: str | bytes) -> Path:
    data = text if isinstance(text, bytes) else text.encode()
    (directory / "homeport.toml").write_bytes(data)
    return directory


def told(directory: Path, *overrides: str) -> list[str]:
    return [str(problem) for problem in examine(directory, overrides)[1]]


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_a_file_and_overrides_on_top(tmp_path: Path) -> None:
    write(tmp_path, '\ufeffworkers = 2\n[ftp]\nport = 21\ntls = "optional"\nlisten = ["127.0.0.1", "unix:run/ftp"]\n')
    settings = load(tmp_path, ["ftp.port=0", "ftp.tls=off", "limits.idle_timeout_s=15m", 'ftp.greeting="a = b"'])
    assert settings.workers == 2
    assert (settings.ftp.port, settings.ftp.tls, settings.ftp.listen) == (0, "off", ("127.0.0.1", "unix:run/ftp"))
    assert settings.limits.idle_timeout_s == 900.0
    assert settings.ftp.greeting == "a = b"


def test_what_a_worker_is_sent_is_what_it_gets(tmp_path: Path) -> None:
    settings = load(
        tmp_path, ["ftp.implicit_port=990", 'login.never_ban=["10.0.0.0/8"]', 'ftp.public_address="203.0.113.7"']
    )
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


PROBLEMS = [
    ('prot = 21', ["prot: unknown key; `homeport config show` lists all keys"]),
    ("port = 21", ["port: unknown key; did you mean ftp.port?"]),
    ("[ftp]\nprot = 21", ["ftp.prot: unknown key; did you mean ftp.port?"]),
    ("[ftp]\nidle_timeout_s = 3", ["ftp.idle_timeout_s: unknown key; did you mean limits.idle_timeout_s?"]),
    ("[web]\nport = 2180", ["web: unknown key; `homeport config show` lists all keys"]),
    ("[fpt]\nport = 1", ["fpt: unknown key; did you mean [ftp]?"]),
    ('workers = "two"', ["workers: 'two' is no whole number"]),
    ("workers = -1", ["workers: -1 is too small; the least is 0"]),
    ("workers = 257", ["workers: 257 is too large; the most is 256"]),
    ("workers = true", ["workers: true is no whole number"]),
    ("workers = 1.5", ["workers: 1.5 is no whole number"]),
    ('fsync = "maybe"', ["fsync: 'maybe' is not one of 'always', 'group' or 'never'"]),
    ("[ftp]\nport = 65536", ["ftp.port: 65536 is too large; the most is 65535"]),
    ("[ftp]\nenabled = 1", ["ftp.enabled: 1 is neither true nor false"]),
    ("[ftp]\ngreeting = 5", ['ftp.greeting: 5 is no text; write it in quotes: "..."']),
    ("ftp = 5", ["ftp: this is a section; write [ftp] and its keys below"]),
    ('[ftp]\npassive_ports = "2310-2300"', ["ftp.passive_ports: '2310-2300' runs backwards; write 2300-2310"]),
    ('[ftp]\nlegacy_charset = "klingon"',
     ["ftp.legacy_charset: no charset is called 'klingon'; take one such as gb18030, big5 or latin-1"]),
    ('[ftp]\nlegacy_charset = "utf-16"',
     ["ftp.legacy_charset: 'utf-16' does not contain ASCII; take one such as gb18030, big5 or latin-1"]),
    ('[ftp]\nlegacy_charset = "hex"',
     ["ftp.legacy_charset: no charset is called 'hex'; take one such as gb18030, big5 or latin-1"]),
    ('[ftp]\nlisten = ["example.org"]',
     ["ftp.listen: 'example.org' is no IP address and not unix:PATH; write such as 0.0.0.0, ::1 or unix:run/ftp"]),
    ("[ftp]\nlisten = []", ["ftp.listen: no address to listen on; name one, or set enabled = false"]),
    ('[ftp]\nlisten = ["::1", "::1"]', ["ftp.listen: an address stands there twice; name each once"]),
    ('[ftp]\npublic_address = "nat.example.org"',
     ["ftp.public_address: 'nat.example.org' is no IP address; write the one that clients reach, such as 203.0.113.7"]),
    ('[ftp]\npublic_address = "2001:db8::1"',
     ["ftp.public_address: 2001:db8::1 is IPv6; PASV speaks IPv4 alone; EPSV needs no address"]),
    ('[ftp]\npassive_ports = "2121"',
     ["ftp.passive_ports: the range 2121 contains 2121, which is ftp.port; "
      "leave a hole, as in 2111-2120,2122-2131"]),
    ("[ftp]\nimplicit_port = 2121",
     ["ftp.implicit_port: port 2121 is taken by ftp.port; give each service its own port"]),
    ('[ftp]\ntls = "off"\nimplicit_port = 990',
     ['ftp.implicit_port: implicit TLS needs TLS, and ftp.tls is off; set ftp.tls = "optional"']),
    (ALL_OFF, ["ftp.enabled: no service is left to run; enable one"]),
    ('[ftp]\ngreeting = "a\\r\\n230 b"', ["ftp.greeting: it contains a line break or NUL; write one line"]),
    ('[login]\nnever_ban = ["10.0.0.1/8"]',
     ["login.never_ban: '10.0.0.1/8' is no network: 10.0.0.1/8 has host bits set; "
      "write such as 192.168.0.0/16 or ::/0"]),
    ("[limits]\nidle_timeout_s = -1",
     ["limits.idle_timeout_s: -1: not a duration; write seconds, or a number with a unit such as 90s, 15m, 24h or 7d"]),
    ('[storage]\nstage = "homes/stage"',
     ["storage.stage: unfinished uploads would lie among the homes; name a folder beside them"]),
    ('[storage]\nfile_mode = "0077"',
     ["storage.file_mode: with 0077 the server could not use its own files; add 0600"]),
    ("workers = ", ["{dir}/homeport.toml is not TOML: Invalid value (at end of document); text values need quotes"]),
    (b"workers = '\xff'", ["{dir}/homeport.toml is not UTF-8 (byte 11); save it as UTF-8"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problems"), PROBLEMS)
def test_one_problem(tmp_path: Path, text: str | bytes, problems: list[str]) -> None:
    assert told(write(tmp_path, text)) == [problem.replace("{dir}", str(tmp_path)) for problem in problems]


def test_all_problems_at_once(tmp_path: Path) -> None:
    write(
        tmp_path, 'workers = -1\nnonsense = 1\n[ftp]\nport = "x"\npassive_ports = "2121"\n[storage]\nstage = "homes"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ["limits.sessions=none", "fsync"])
    assert [problem.key for problem in caught.value.problems] == [
        "",
        "workers",
        "ftp.port",
        "limits.sessions",
        "nonsense",
        "ftp.passive_ports",
        "storage.stage",
    ]
    assert str(caught.value).startswith("the configuration has 7 problems:\n  --set 'fsync' has no value; write --set ")


def test_a_password_in_a_url_is_never_repeated(tmp_path: Path) -> None:
    write(tmp_path, 'secret = "hunter2"\n[database]\nurl = "mysql://u:hunter2@h/d"\npassword = "hunter2"\n')
    assert "hunter2" not in "\n".join(told(tmp_path))
    write(tmp_path, '[database]\nurl = ["hunter2"]\n')
    assert told(tmp_path) == ['database.url: the value is no text; write it in quotes: "..."']


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").mkdir()
    assert told(tmp_path) == [f"{tmp_path}/homeport.toml cannot be read: Is a directory; see its owner and mode"]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    write(tmp_path, b"#" * (1 << 20) + b"#")
    assert told(tmp_path) == [f"{tmp_path}/homeport.toml is larger than 1048576 bytes; is it the right file?"]


def test_a_file_that_is_nested_too_deeply(tmp_path: Path) -> None:
    write(tmp_path, "workers = " + "[" * 100_000)
    assert told(tmp_path)[0].startswith(f"{tmp_path}/homeport.toml is ")


def test_an_override_below_a_value_that_is_no_section(tmp_path: Path) -> None:
    write(tmp_path, "ftp = 1\n")
    assert load(tmp_path, ["ftp.port=5"]).ftp.port == 5


@pytest.mark.parametrize("override", ["", "=", "=5", "ftp..port=5", "ftp.port"])
def test_an_override_that_is_none(tmp_path: Path, override: str) -> None:
    assert "has no value; write --set KEY=VALUE, such as --set ftp.port=0" in told(tmp_path, override)[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2121", 2121),
        ("true", True),
        ("optional", "optional"),
        ('["::1"]', ["::1"]),
        ("", ""),
        (" a b ", "a b"),
        ("1\n2", "1\n2"),
    ],
)
def test_values_on_the_command_line(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_garbage_never_raises_anything_else(tmp_path: Path) -> None:
    chosen = random.Random(7)
    values = [
        "1",
        '"x"',
        "[]",
        "{}",
        "-5",
        "1.5",
        "true",
        "[[1]]",
        "{a={b=1}}",
        "1979-05-27",
        '""',
        "99999999999999999999",
    ]
    for _ in range(300):
        lines = [f"{chosen.choice(key_paths())} = {chosen.choice(values)}" for _ in range(3)]
        write(tmp_path, "\n".join(lines))
        settings, problems = examine(tmp_path)
        assert isinstance(settings, Settings)
        assert all(isinstance(problem, Problem) and problem.what for problem in problems)


def test_every_key_is_found_by_a_slip_of_the_finger() -> None:
    for key in key_paths():
        assert nearest(f"{key}x").startswith("did you mean "), key


class TestCertificates:
    def pair(self, directory: Path, mode: int = 0o600) -> Path:
        from homeport.daemon.certificate import make_self_signed

        make_self_signed(directory / "tls/cert.pem", directory / "tls/key.pem")
        (directory / "tls/key.pem").chmod(mode)
        return directory

    def test_a_good_pair(self, tmp_path: Path) -> None:
        assert told(self.pair(tmp_path)) == []

    def test_a_key_that_others_can_read(self, tmp_path: Path) -> None:
        key = self.pair(tmp_path, 0o644) / "tls/key.pem"
        assert told(tmp_path) == [f"tls.key: {key} has mode 0644, others could read it; run chmod 600 {key}"]

    def test_a_key_without_its_certificate(self, tmp_path: Path) -> None:
        (self.pair(tmp_path) / "tls/cert.pem").unlink()
        assert told(tmp_path) == [
            f"tls.certificate: {tmp_path}/tls/cert.pem cannot be read: No such file or directory; "
            "see that it exists and belongs to the server's user"
        ]

    def test_a_certificate_of_another_key(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        os.replace(self.pair(tmp_path / "other") / "tls/key.pem", self.pair(tmp_path) / "tls/key.pem")
        [problem] = told(tmp_path)
        assert "cannot be used: KEY_VALUES_MISMATCH; both must be PEM and belong together" in problem

    def test_a_key_with_a_passphrase(self, tmp_path: Path) -> None:
        from cryptography.hazmat.primitives import serialization

        key = self.pair(tmp_path) / "tls/key.pem"
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"secret")
        pem = loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        key.write_bytes(pem)
        [problem] = told(tmp_path)
        assert "the key has a passphrase; store it without one" in problem

    def test_without_tls_nobody_looks(self, tmp_path: Path) -> None:
        assert told(self.pair(tmp_path, 0o644), "ftp.tls=off", "hptp.enabled=false") == []


def test_a_folder_that_cannot_be_looked_at_is_no_traceback(tmp_path: Path) -> None:
    assert load(tmp_path, [f"storage.homes={'x' * 300}"]).storage.homes == "x" * 300


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert told(tmp_path / "file") == [f"{tmp_path / 'file'} is no folder; --dir or $HOMEPORT_DIR must name one"]
