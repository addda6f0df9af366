"""What a worker tidies up from time to time. One rule: it blocks, so it runs in a thread; what fails is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from homeport.core.errors import AccountNotFound, HomeportError
from homeport.daemon.open_homes import OpenHomes
from homeport.daemon.services import Services

_log = logging.getLogger(__name__)
_RECOVER_EVERY_S = 30.0
_EXPIRE_EVERY_S = 600.0


class Housekeeping:
    """`tidies_stages`: one worker of an instance is enough for that."""

    def __init__(
        self,
        services: Services,
        homes: OpenHomes,
        *,
        tidies_stages: bool,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._services = services
        self._homes = homes
        self._tidies_stages = tidies_stages
        self._monotonic = monotonic
        self._clock = clock
        self.stage_max_age_s = services.settings.storage.stage_max_age_s
        self._recover_at = monotonic() + _RECOVER_EVERY_S
        self._expire_at = monotonic()

    def tidy(self) -> None:
        """Do what is due."""
        now = self._monotonic()
        self._homes.end_expired()
        if now >= self._recover_at:
            self._recover_at = now + _RECOVER_EVERY_S
            self.recover()
        if self._tidies_stages and now >= self._expire_at:
            self._expire_at = now + _EXPIRE_EVERY_S
            self.expire_stages()

    def recover(self) -> None:
        """Recount the accounts that dead processes may have been changing."""
        for recount in self._services.ledger.recover(self._services.count_of):
            self._services.note_drift(self._name_of(recount.account), recount)

    def _name_of(self, account_id: int) -> str:
        try:
            return self._services.accounts.by_id(account_id).name
        except AccountNotFound:
            return f"#{account_id}"

    def expire_stages(self) -> None:
        """Throw away unfinished uploads that nobody continued, and give their room back."""
        for account_id in self._services.stages.accounts():
            try:
                self._expire(account_id)
            except HomeportError as error:
                _log.warning("old uploads of account %d cannot be removed now: %s", account_id, error)

    def _expire(self, account_id: int) -> None:
        services = self._services
        try:
            services.accounts.by_id(account_id)
        except AccountNotFound:  # removed; nobody is charged for it any more
            services.stages.expire(account_id, 0.0, self._clock())
            return
        with services.ledger.changing(account_id):
            gone = services.stages.expire(account_id, self.stage_max_age_s, self._clock())
            services.ledger.refund(account_id, gone.bytes, gone.files)
        if gone.files:
            _log.info("removed %d unfinished uploads (%d bytes) of account %d", gone.files, gone.bytes, account_id)
