"""Signing in and out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from invigilo.accounts import passwords
from invigilo.accounts.model import Account
from invigilo.clock import Clock
from invigilo.errors import NotAllowed, NotFound, Refused
from invigilo.secrets_box import digest
from invigilo.storage.queries import accounts as queries
from invigilo.storage.work import WorkFactory

log = structlog.get_logger()

FREE_TRIES = 5
LONGEST_PAUSE = 300_000  # ms
FORGET_AFTER = 900_000  # ms without a try
REMEMBERED = 10_000
ADDRESS_FREE_TRIES = 50
"""A whole exam office may sit behind one address."""
CACHE_FOR = 5_000  # ms a session is believed without asking the database


@dataclass(slots=True)
class _Tries:
    count: int = 0
    last: int = 0


@dataclass(slots=True)
class SignInLimit:
    """Failed tries cost time: after a few free ones each doubles the pause. In memory of this node."""

    free: int = FREE_TRIES
    _tries: dict[str, _Tries] = field(default_factory=dict[str, _Tries])

    def pause(self, key: str, now: int) -> int:
        """Ms until this key may try again."""
        tries = self._tries.get(key)
        if tries is None or now - tries.last > FORGET_AFTER or tries.count < self.free:
            return 0
        pause = min(1_000 * 2 ** min(tries.count - self.free, 20), LONGEST_PAUSE)
        return max(0, tries.last + pause - now)

    def failed(self, key: str, now: int) -> None:
        if len(self._tries) >= REMEMBERED:
            self._tries = {k: t for k, t in self._tries.items() if now - t.last < FORGET_AFTER}
        tries = self._tries.setdefault(key, _Tries())
        tries.count = 1 if now - tries.last > FORGET_AFTER else tries.count + 1
        tries.last = now

    def succeeded(self, key: str) -> None:
        self._tries.pop(key, None)


class Accounts:
    """Everything about who is signed in."""

    def __init__(
        self, *, work: WorkFactory, reading: WorkFactory, clock: Clock, session_hours: int = 12
    ) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock
        self._session = timedelta(hours=session_hours)
        self._by_user = SignInLimit()
        self._by_address = SignInLimit(free=ADDRESS_FREE_TRIES)
        self._known: dict[str, tuple[Account, int]] = {}
        self._forgotten = 0
        """How often somebody was forgotten: what was read before may not be kept after."""

    async def sign_in(self, username: str, password: str, *, address: str) -> tuple[Account, str]:
        """The person and a new session token. Raises Refused (`too_many_tries`), NotAllowed (same words for all causes)."""
        now = self._clock.now_ms()
        name = username.strip()
        user_key = f"{name.casefold()[:64]}\0{address}"
        pause = max(self._by_user.pause(user_key, now), self._by_address.pause(address, now))
        if pause:
            seconds = max(1, round(pause / 1000))
            raise Refused(
                "too_many_tries",
                f"Too many tries. Please wait {seconds} seconds.",
                values={"seconds": seconds},
            )
        async with self._reading() as w:
            found = await queries.by_username(w.db, name) if len(name) <= 64 and "\0" not in name else None
        is_right = await passwords.verify_aside(None if found is None else found[1], password)
        if found is None or not is_right or not found[0].is_active:
            self._by_user.failed(user_key, now)
            self._by_address.failed(address, now)
            log.warning("sign_in_failed", address=address)
            raise NotAllowed("User name and password do not match, or the account is not active.")
        self._by_user.succeeded(user_key)
        return found[0], await self._open_session(found[0])

    async def _open_session(self, account: Account) -> str:
        token = secrets.token_urlsafe(32)
        now = self._clock.now_ms()
        async with self._work() as w:
            await queries.add_session(
                w.db,
                token_hash=digest(token),
                user_id=account.id,
                created_at=now,
                expires_at=now + round(self._session.total_seconds() * 1000),
            )
        log.info("signed_in", user_id=account.id)
        return token

    async def account_of_session(self, token: str) -> Account | None:
        """The person of a session; asked of the database at most every few seconds."""
        now = self._clock.now_ms()
        token_hash = digest(token)
        known = self._known.get(token_hash)
        if known is not None and now - known[1] < CACHE_FOR:
            return known[0]
        forgotten = self._forgotten
        async with self._reading() as w:
            account = await queries.by_session(w.db, token_hash, now)
        if len(self._known) > 1_000:
            self._known.clear()
        if account is None:
            self._known.pop(token_hash, None)
            return None
        if forgotten == self._forgotten:
            self._known[token_hash] = (account, now)
        return account

    def forget(self, user_id: int) -> None:
        """Ask the database anew: this person, or what they are signed in with, is not as it was."""
        self._known = {key: known for key, known in self._known.items() if known[0].id != user_id}
        self._forgotten += 1

    async def sign_out(self, token: str) -> None:
        async with self._work() as w:
            await queries.end_session(w.db, digest(token))
        # Not sooner: who asks meanwhile is still signed in, and would be known so for a while.
        self._known.pop(digest(token), None)
        self._forgotten += 1

    async def make_link(self, username: str, *, path: str, lasts: timedelta) -> str:
        """A token that signs this person in until it expires: for the demo's one address. Raises NotFound."""
        token = secrets.token_urlsafe(32)
        async with self._work() as w:
            found = await queries.by_username(w.db, username)
            if found is None:
                raise NotFound(f"There is no user {username!r}.")
            expires_at = self._clock.now_ms() + round(lasts.total_seconds() * 1000)
            await queries.add_link(
                w.db, token_hash=digest(token), user_id=found[0].id, path=path, expires_at=expires_at
            )
        return token

    async def follow_link(self, token: str) -> tuple[str, str]:
        """A new session token and where the link leads. Raises NotFound when it is unknown or over."""
        async with self._reading() as w:
            found = await queries.by_link(w.db, digest(token), self._clock.now_ms())
        if found is None:
            raise NotFound(
                "This sign-in link is not valid any more. Sign in with your password.",
                key="sign_in_link_over",
            )
        return await self._open_session(found[0]), found[1]
