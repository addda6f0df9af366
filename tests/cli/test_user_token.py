from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.cli.test_user import add

from homeport.config.model import Settings
from homeport.core.tokens import NewToken
from homeport.daemon.instance import Instance
from homeport.daemon.services import Services


def make(directory: Path, name: str, label: str) -> NewToken:
    with Services(Instance(directory), Settings(), "test") as services:
        return services.proofs.tokens.create(services.accounts.get(name), label)


def test_tokens_are_listed_and_revoked(run: Run, directory: Path) -> None:
    add(run)
    done = run("user", "token", "list", "bob")
    assert (done.out, done.err) == ("", "bob has no token; `homeport login hp://bob@HOST` makes one\n")
    made = make(directory, "bob", "blue laptop")
    [shown] = run("user", "token", "list", "bob", "--json").objects
    assert (shown["id"], shown["device"], shown["used_at"]) == (made.token.id, "blue laptop", None)
    out = run("user", "token", "list", "bob").out
    assert "blue laptop" in out
    assert "never" in out
    assert made.secret not in out
    done = run("user", "token", "revoke", "bob", made.token.id)
    assert done.err == f"revoked {made.token.id} (blue laptop) of bob\n"
    assert run("user", "token", "list", "bob", "--json").objects == []


def test_a_revocation_in_json(run: Run, directory: Path) -> None:
    add(run)
    made = make(directory, "bob", "phone")
    with Services(Instance(directory), Settings(), "test") as services:
        services.proofs.tokens.used(made.token.id)
    [revoked] = run("user", "token", "revoke", "bob", made.token.id, "--json").objects
    assert (revoked["event"], revoked["account"], revoked["device"]) == ("revoked", "bob", "phone")
    assert revoked["used_at"] is not None


def test_what_is_not_there(run: Run) -> None:
    add(run)
    done = run("user", "token", "revoke", "bob", "x1")
    assert done.code == 3
    assert "account 'bob' has no token 'x1'" in done.err
    assert run("user", "token", "list", "eve").code == 3
