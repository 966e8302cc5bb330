"""API tokens: made by people for their programs, with scopes and an end."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from invigilo import fields
from invigilo.accounts.model import Account, ApiToken, Kind, Right, Role, Scope
from invigilo.accounts.permissions import rights_in
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.errors import Invalid, NotFound, Problem, Refused
from invigilo.secrets_box import digest
from invigilo.storage.queries import tokens as queries
from invigilo.storage.work import WorkFactory

PREFIX = "invigilo_"
"""So that a token in the wrong place is recognised by those who look for leaked ones."""
LONGEST_LIFE = timedelta(days=400)
MOST_TOKENS = 100  # of one person
NOTED_EVERY = 60_000  # ms: that a token is in use is written at most once a minute


class ApiTokens:
    """Making, listing, revoking, and recognising them."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory, clock: Clock) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock

    async def make(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        expires_at: datetime,
        by: Account,
        within: ApiToken | None = None,
    ) -> tuple[ApiToken, str]:
        """A new token of this person, and its key, which nobody can see again. Raises Invalid, Refused (`too_many_tokens`).

        `within` is the token it is made with, if it is: the new one may do no more, and no longer.
        """
        now = self._clock.now()
        problems = fields.found(
            fields.text("name", name),
            None if scopes else Problem("scopes", "no_scope", "Choose what the token may be used for."),
            _life_problem(expires_at, now),
            None if within is None else _bounds_problem(scopes, expires_at, within),
        )
        if problems:
            raise Invalid(*problems)
        key = PREFIX + secrets.token_urlsafe(32)
        async with self._work() as w:
            if len(await queries.of_user(w.db, by.id)) >= MOST_TOKENS:
                raise Refused(
                    "too_many_tokens",
                    f"You have {MOST_TOKENS} API tokens. Revoke some first.",
                    values={"most": MOST_TOKENS},
                )
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

    async def recognise(self, key: str) -> tuple[Account, ApiToken] | None:
        """Whose key this is, and the token; None when unknown, expired or its owner inactive."""
        now = self._clock.now_ms()
        async with self._reading() as w:
            found = await queries.by_hash(w.db, digest(key), now)
        if found is None:
            return None
        account, token, last_used = found
        if now - last_used > NOTED_EVERY:
            async with self._work() as w:
                await queries.note_use(w.db, token.id, now)
        return account, token


def _life_problem(expires_at: datetime, now: datetime) -> Problem | None:
    if expires_at <= now:
        return Problem("expires_at", "in_the_past", "Choose a time that is still to come.")
    if expires_at > now + LONGEST_LIFE:
        days = LONGEST_LIFE.days
        return Problem("expires_at", "too_late", f"A token lasts at most {days} days.", {"days": days})
    return None


def _bounds_problem(scopes: Sequence[Scope], expires_at: datetime, within: ApiToken) -> Problem | None:
    """A leaked token must not make itself a stronger or a longer life."""
    beyond = sorted(set(scopes) - within.scopes)
    if beyond:
        return Problem(
            "scopes",
            "scope_not_yours",
            f"The token you call with lacks {', '.join(beyond)}: it cannot pass it on.",
        )
    if expires_at > within.expires_at:
        return Problem(
            "expires_at",
            "outlives_its_maker",
            "A token made by the API ends no later than the one it is made with. Make a longer one on the page “Account”.",
        )
    return None


def scopes_for(account: Account) -> list[Scope]:
    """Those that are of use to this person; the others would allow nothing."""
    kinds = {
        "configurations": Kind.CONFIGURATION,
        "connections": Kind.CONNECTION,
        "services": Kind.SERVICE,
        "activity": Kind.ACTIVITY,
        "people": Kind.USER,
    }

    def is_of_use(scope: Scope) -> bool:
        subject, _, deed = scope.value.partition(":")
        if scope is Scope.PEOPLE_WRITE:
            return True  # one's own account is changed with it
        if subject not in kinds:
            return deed == "read" or account.role in {Role.EXAM_ADMIN, Role.INSTITUTION_ADMIN}
        right = Right.SEE if deed == "read" else Right.CHANGE
        return right in rights_in(account, kinds[subject])

    return [scope for scope in Scope if is_of_use(scope)]
