"""API tokens: made by people for their programs, with scopes and an end."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from invigilo import fields
from invigilo.accounts.model import Account, ApiToken, Scope
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.errors import Invalid, NotFound, Problem
from invigilo.secrets_box import digest
from invigilo.storage.queries import tokens as queries
from invigilo.storage.work import WorkFactory

PREFIX = "invigilo_"
"""So that a token in the wrong place is recognised by those who look for leaked ones."""
LONGEST_LIFE = timedelta(days=400)
NOTED_EVERY = 60_000  # ms: that a token is in use is written at most once a minute


class ApiTokens:
    """Making, listing, revoking, and recognising them."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory, clock: Clock) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock

    async def make(
        self, name: str, scopes: Sequence[Scope], *, expires_at: datetime, by: Account
    ) -> tuple[ApiToken, str]:
        """A new token of this person, and its key, which nobody can see again. Raises Invalid."""
        now = self._clock.now()
        problems = fields.found(
            fields.text("name", name),
            None if scopes else Problem("scopes", "no_scope", "Choose what the token may be used for."),
            _life_problem(expires_at, now),
        )
        if problems:
            raise Invalid(*problems)
        key = PREFIX + secrets.token_urlsafe(32)
        async with self._work() as w:
            token = await queries.add(
                w.db,
                token_hash=digest(key),
                user_id=by.id,
                name=name.strip(),
                scopes=sorted({scope.value for scope in scopes}),
                created_at=to_ms(now),
                expires_at=to_ms(expires_at),
            )
            await record(
                w,
                at=now,
                actor=by,
                deed="api_token_made",
                institution_id=by.institution_id,
                detail={"name": token.name, "scopes": sorted(token.scopes)},
            )
        return token, key

    async def of(self, account: Account) -> list[ApiToken]:
        async with self._reading() as w:
            return await queries.of_user(w.db, account.id)

    async def revoke(self, token_id: int, *, by: Account) -> None:
        """End one of one's own tokens. Raises NotFound."""
        async with self._work() as w:
            token = await queries.remove(w.db, token_id, user_id=by.id)
            if token is None:
                raise NotFound("There is no such API token.")
            await record(
                w,
                at=self._clock.now(),
                actor=by,
                deed="api_token_revoked",
                institution_id=by.institution_id,
                detail={"name": token.name},
            )

    async def recognise(self, key: str) -> tuple[Account, frozenset[Scope]] | None:
        """Whose key this is and what it may be used for; None when unknown, expired or its owner inactive."""
        now = self._clock.now_ms()
        async with self._reading() as w:
            found = await queries.by_hash(w.db, digest(key), now)
        if found is None:
            return None
        account, token, last_used = found
        if now - last_used > NOTED_EVERY:
            async with self._work() as w:
                await queries.note_use(w.db, token.id, now)
        return account, token.scopes


def _life_problem(expires_at: datetime, now: datetime) -> Problem | None:
    if expires_at <= now:
        return Problem("expires_at", "in_the_past", "Choose a time that is still to come.")
    if expires_at > now + LONGEST_LIFE:
        days = LONGEST_LIFE.days
        return Problem("expires_at", "too_late", f"A token lasts at most {days} days.", {"days": days})
    return None
