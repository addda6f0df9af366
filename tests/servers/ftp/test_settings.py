from __future__ import annotations

import pytest

from homeport.config.ftp import FtpSettings as Configured
from homeport.config.model import LimitSettings, Settings
from homeport.protocols.ftp.policy import TlsPolicy
from homeport.servers.ftp.settings import FtpSettings, FtpTimes, ftp_settings


def test_the_defaults_are_those_of_the_configuration() -> None:
    configured, own = ftp_settings(Settings()), FtpSettings()
    different = {
        name
        for name in FtpSettings.__dataclass_fields__
        if getattr(configured, name) != getattr(own, name) and not name.endswith("_for")
    }
    assert different == {"passive_ports"}
    assert configured.passive_ports == tuple(range(2300, 2400))
    assert configured.public_address_for("192.0.2.1") is None
    assert own.public_address_for("192.0.2.1") is None


def test_a_configuration_arrives() -> None:
    settings = ftp_settings(
        Settings(
            workers=2,
            ftp=Configured(port=21, tls="optional", passive_ports="any", public_address="203.0.113.7", deflate_level=0),
            limits=LimitSettings(idle_timeout_s=7.0, upload_bytes_per_s=1000),
        )
    )
    assert (settings.port, settings.tls, settings.passive_ports, settings.deflate_level) == (21, "optional", (), 0)
    assert settings.public_address_for("192.0.2.1") == "203.0.113.7"
    assert settings.times == FtpTimes(idle_s=7.0)
    assert settings.upload_bytes_per_s == 1000
    assert not settings.policy_for("192.0.2.1").mode_z


@pytest.mark.parametrize(
    ("public", "client", "announced"),
    [
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("203.0.113.7", "192.168.1.5", None),
        ("203.0.113.7", "127.0.0.1", None),
        ("203.0.113.7", "fe80::1", None),
        ("203.0.113.7", "unix", None),
        ({"192.168.1.0/24": "203.0.113.8", "0.0.0.0/0": "203.0.113.7"}, "192.168.1.5", "203.0.113.8"),
        ({"192.168.1.0/24": "203.0.113.8", "0.0.0.0/0": "203.0.113.7"}, "10.0.0.1", "203.0.113.7"),
        (None, "198.51.100.1", None),
    ],
)
def test_a_public_address_is_for_those_who_come_from_outside(
    public: str | dict[str, str] | None, client: str, announced: str | None
) -> None:
    assert ftp_settings(Settings(ftp=Configured(public_address=public))).public_address_for(client) == announced


@pytest.mark.parametrize(
    ("tls", "data_tls", "private"),
    [("required", "required", True), ("required", "optional", False), ("optional", "required", True)],
)
def test_the_policy_follows(tls: str, data_tls: str, private: bool) -> None:
    settings = FtpSettings(
        tls=tls,  # type: ignore[arg-type]
        data_tls=data_tls,  # type: ignore[arg-type]
        charset_for=lambda client: "gbk" if client == "192.0.2.1" else None,
    )
    policy = settings.policy_for("192.0.2.1")
    assert (policy.tls, policy.private_data, policy.forced_charset) == (TlsPolicy(tls), private, "gbk")
    assert settings.policy_for("192.0.2.2").forced_charset is None
