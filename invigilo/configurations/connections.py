"""Connection configurations: what a SEB needs to find us, made, handed out as files and links, and revoked.

Every method takes the person who asks and finds the configuration through `accounts.permissions`; None is an operator on
the command line. A client secret is given to whoever made it, once; afterwards it leaves only inside a file. What
changes is announced in the same transaction, so the token endpoint and the exam API know within seconds.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import access, institution_of, require
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.configurations import connection_rules as rules
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.exams.model import (
    ConfigurationState,
    ConnectionDetails,
    ConnectionLink,
    ConnectionWish,
    FallbackWish,
    FileProtection,
    FilePurpose,
)
from invigilo.sebconfig import connection_file as seb_file
from invigilo.sebconfig.connection_file import ConnectionFile, connection_file_bytes, password_hash
from invigilo.sebconfig.container import Prefix, Purpose, load_certificate
from invigilo.secrets_box import SecretBox, digest
from invigilo.storage.queries import connection_configurations as queries
from invigilo.storage.queries.connection_configurations import ExamChoice, SealedSecrets
from invigilo.storage.work import Work, WorkFactory

CHOICES = 200
"""So many coming exams are offered for a limit; others are reached from their own page."""
FILES_KEPT = 200
KEY_BYTES = 32
KEY_LONGEST = 100

_PURPOSES = {FilePurpose.START: Purpose.START_EXAM, FilePurpose.CONFIGURE: Purpose.CONFIGURE_CLIENT}
_PREFIXES = {
    FileProtection.CERTIFICATE: Prefix.CERTIFICATE,
    FileProtection.CERTIFICATE_SYMMETRIC: Prefix.CERTIFICATE_SYMMETRIC,
}


@dataclass(frozen=True, slots=True)
class MadeConnection:
    """A new configuration, and its client secret, which is shown this once."""

    details: ConnectionDetails
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A new link, and the key of its address, which is shown this once."""

    link: ConnectionLink
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A connection file on its way out."""

    name: str
    content: bytes = field(repr=False)


class ConnectionConfigurations:
    """Making, changing, handing out and revoking them."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        box: SecretBox,
        clock: Clock,
        changed: Callable[[Work], Awaitable[None]],
    ) -> None:
        """`changed` notes, in the transaction it is given, that clients must be judged anew (`directory_changed`)."""
        self._work = work
        self._reading = reading
        self._box = box
        self._clock = clock
        self._changed = changed
        self._files: dict[tuple[ConnectionDetails, SealedSecrets, str], bytes] = {}
        """Files that links gave out: encrypting one costs 20 ms, and a whole room fetches the same one at once."""

    # --- finding ---

    async def get_in(
        self, w: Work, configuration_id: int, by: Account | None, right: Right, *, for_update: bool = False
    ) -> ConnectionDetails:
        """The configuration, if this person has the right. Raises NotFound or NotAllowed."""
        found = await queries.by_id(w.db, configuration_id, for_update=for_update)
        if by is not None:
            return access(by, Kind.CONNECTION, found, right)
        if found is None:
            raise NotFound("There is no such connection configuration.")
        return found

    async def get(self, configuration_id: int, by: Account, right: Right = Right.SEE) -> ConnectionDetails:
        async with self._reading() as w:
            return await self.get_in(w, configuration_id, by, right)

    async def page(
        self,
        by: Account,
        *,
        search: str = "",
        state: ConfigurationState | None = None,
        purpose: FilePurpose | None = None,
        sort: str = "name",
        is_descending: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[ConnectionDetails], int]:
        """One page of the list this person may see, and how many there are."""
        require(by, Kind.CONNECTION, Right.SEE)
        async with self._reading() as w:
            return await queries.page(
                w.db,
                institution_id=institution_of(by),
                search=search,
                state=state,
                purpose=purpose,
                sort=sort,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def exam_choices(self, by: Account, chosen: frozenset[int]) -> list[ExamChoice]:
        """Exams a configuration of this person's institution can be limited to: the chosen ones, and what comes next."""
        require(by, Kind.CONNECTION, Right.CHANGE)
        assert by.institution_id is not None  # only people of an institution have this right
        async with self._reading() as w:
            return await queries.exam_choices(
                w.db, by.institution_id, now_ms=self._clock.now_ms(), chosen=chosen, limit=CHOICES
            )

    async def exam_names(self, configuration: ConnectionDetails) -> list[str]:
        """Of the exams it is limited to."""
        if not configuration.only_exams:
            return []
        async with self._reading() as w:
            found = await queries.exams_of(w.db, configuration.institution_id, configuration.only_exams)
        return sorted(found.values(), key=str.casefold)

    async def is_used(self, configuration: ConnectionDetails) -> bool:
        """Whether a client ever connected with it: then it stays, because what it did hangs on it."""
        async with self._reading() as w:
            return await queries.is_used(w.db, configuration.id)

    # --- making and changing ---

    async def create(self, wish: ConnectionWish, *, by: Account) -> MadeConnection:
        """Make one, active at once. Raises Invalid."""
        require(by, Kind.CONNECTION, Right.CHANGE)
        assert by.institution_id is not None
        async with self._work() as w:
            return await self.create_in(w, wish, by=by, institution_id=by.institution_id)

    async def create_in(
        self, w: Work, wish: ConnectionWish, *, by: Account | None, institution_id: int
    ) -> MadeConnection:
        await self._check(w, wish, institution_id)
        secret = secrets.token_urlsafe(KEY_BYTES)
        values = self._values(wish, None)
        try:
            made = await queries.add(
                w.db,
                institution_id=institution_id,
                client_id=f"seb-{secrets.token_hex(8)}",
                client_secret_encrypted=self._box.encrypt(secret),
                created_at=self._clock.now_ms(),
                **values,
            )
        except IntegrityError as error:
            raise _name_taken(wish.name) from error
        await queries.set_exams(w.db, made, wish.only_exams or ())
        details = await self.get_in(w, made, None, Right.SEE)
        await self._note(w, details, by, "created", changes=[])
        return MadeConnection(details, secret)

    async def change(
        self, configuration_id: int, wish: ConnectionWish, *, by: Account, revision: int | None = None
    ) -> ConnectionDetails:
        """Save it as wished. Raises Invalid, and Refused when somebody saved after `revision`, or when it is revoked."""
        async with self._work() as w:
            return await self.change_in(w, configuration_id, wish, by=by, revision=revision)

    async def change_in(
        self,
        w: Work,
        configuration_id: int,
        wish: ConnectionWish,
        *,
        by: Account | None,
        revision: int | None = None,
    ) -> ConnectionDetails:
        before = await self._held(w, configuration_id, by, revision)
        rules.check_may_change(before)
        await self._check(w, wish, before.institution_id, before)
        try:
            await queries.change(w.db, before.id, **self._values(wish, before))
        except IntegrityError as error:
            raise _name_taken(wish.name) from error
        await queries.set_exams(w.db, before.id, wish.only_exams or ())
        after = await self.get_in(w, before.id, None, Right.SEE)
        await self._note(w, after, by, "changed", changes=_changes(before, after, wish))
        return after

    async def set_active(self, configuration_id: int, is_active: bool, *, by: Account) -> ConnectionDetails:
        """Let its clients in, or refuse them from now on. Quiet when it is so already."""
        async with self._work() as w:
            before = await self._held(w, configuration_id, by)
            rules.check_may_change(before)
            if (before.state is ConfigurationState.ACTIVE) == is_active:
                return before
            await queries.change(w.db, before.id, is_active=is_active)
            after = await self.get_in(w, before.id, None, Right.SEE)
            await self._note(w, after, by, "activated" if is_active else "deactivated")
            return after

    async def revoke(self, configuration_id: int, *, by: Account) -> ConnectionDetails:
        """For ever: no token, no call of its clients, no link works any more. Quiet when it is so already."""
        async with self._work() as w:
            before = await self._held(w, configuration_id, by)
            if before.state is ConfigurationState.REVOKED:
                return before
            await queries.change(w.db, before.id, is_active=False, revoked_at=self._clock.now_ms())
            await queries.remove_links(w.db, configuration_id=before.id)
            after = await self.get_in(w, before.id, None, Right.SEE)
            await self._note(w, after, by, "revoked")
            return after

    async def renew_secret(
        self, configuration_id: int, *, by: Account, revision: int | None = None
    ) -> MadeConnection:
        """A new client secret: files handed out so far connect nobody new. Clients that are connected go on, since half of
        them could not get another token in the middle of an exam (seb-client-api.md §8, 9).
        """
        async with self._work() as w:
            before = await self._held(w, configuration_id, by, revision)
            rules.check_may_change(before)
            secret = secrets.token_urlsafe(KEY_BYTES)
            await queries.change(
                w.db, before.id, client_secret_encrypted=self._box.encrypt(secret), handed_out_at=None
            )
            after = await self.get_in(w, before.id, None, Right.SEE)
            await self._note(w, after, by, "secret_renewed")
            return MadeConnection(after, secret)

    async def delete(self, configuration_id: int, *, by: Account) -> None:
        """Remove one that no client ever connected with. Raises Refused (`connection_in_use`)."""
        async with self._work() as w:
            before = await self._held(w, configuration_id, by)
            if await queries.is_used(w.db, before.id):
                raise Refused(
                    "connection_in_use",
                    "Clients have connected with this configuration, and the record of their exams hangs on it. "
                    "Revoke it instead.",
                )
            await queries.remove(w.db, before.id)
            await self._note(w, before, by, "deleted")

    # --- handing out ---

    async def file(
        self,
        configuration_id: int,
        *,
        by: Account,
        server_url: str,
        purpose: FilePurpose | None = None,
        password: str | None = None,
    ) -> HandedOut:
        """The .seb file; `purpose` may differ from the stored one. Raises Refused, BadInput."""
        async with self._work() as w:
            found = await self._held(w, configuration_id, by)
            rules.check_may_hand_out(found)
            sealed = await queries.secrets_of(w.db, found.id)
            password = rules.password_for_file(found, self._opened(sealed.password), password)
            await queries.note_handed_out(w.db, found.id, self._clock.now_ms())
            await record(
                w,
                at=self._clock.now(),
                actor=by,
                deed="connection_file_downloaded",
                institution_id=found.institution_id,
                detail={
                    "configuration": found.name,
                    "purpose": (purpose or found.purpose).value,
                    "encrypted": password is not None or found.protection.is_by_certificate,
                },
            )
        return HandedOut(
            found.name, await self._written(found, sealed, server_url, password, purpose or found.purpose)
        )

    async def links(self, configuration: ConnectionDetails) -> list[ConnectionLink]:
        """Those in force."""
        async with self._reading() as w:
            return await queries.links_of(w.db, configuration.id, now_ms=self._clock.now_ms())

    async def make_link(self, configuration_id: int, *, expires_at: datetime, by: Account) -> MadeLink:
        """An address for the file that needs no sign-in. Raises Invalid, Refused."""
        now = self._clock.now()
        async with self._work() as w:
            found = await self._held(w, configuration_id, by)
            rules.check_may_link(found)
            problem = rules.link_problem(expires_at, now)
            if problem is not None:
                raise Invalid(problem)
            key = secrets.token_urlsafe(KEY_BYTES)
            link = await queries.add_link(
                w.db,
                key_hash=digest(key),
                configuration_id=found.id,
                created_at=to_ms(now),
                expires_at=to_ms(expires_at),
                created_by=by.display_name,
            )
            await queries.note_handed_out(w.db, found.id, to_ms(now))
            await self._note(w, found, by, "link_made", until=link.expires_at.isoformat(timespec="minutes"))
        return MadeLink(link, key)

    async def revoke_link(self, configuration_id: int, link_id: int, *, by: Account) -> None:
        """Raises NotFound."""
        async with self._work() as w:
            found = await self._held(w, configuration_id, by)
            if not await queries.remove_link(w.db, found.id, link_id):
                raise NotFound("There is no such link, or it is over already.")
            await self._note(w, found, by, "link_revoked")

    async def file_of_link(self, key: str, *, server_url: str) -> HandedOut:
        """What the address of a link gives, to anybody. Raises NotFound for whatever is not in force."""
        if len(key) > KEY_LONGEST or not key.isascii():
            raise _no_link()
        async with self._reading() as w:
            link = await queries.link_by_hash(w.db, digest(key), now_ms=self._clock.now_ms())
            found = None if link is None else await queries.by_id(w.db, link.configuration_id)
            if found is None or found.state is not ConfigurationState.ACTIVE or found.asks_for_password:
                raise _no_link()
            sealed = await queries.secrets_of(w.db, found.id)
        kept = (found, sealed, server_url)
        if kept not in self._files:
            stored = self._opened(sealed.password)
            password = stored if found.protection is FileProtection.PASSWORD else None
            made = await self._written(found, sealed, server_url, password, found.purpose)
            if len(self._files) >= FILES_KEPT:
                self._files.clear()
            self._files[kept] = made
        return HandedOut(found.name, self._files[kept])

    # --- within ---

    async def _held(
        self, w: Work, configuration_id: int, by: Account | None, revision: int | None = None
    ) -> ConnectionDetails:
        """For a change: nobody else changes it meanwhile, and nobody did since `revision`."""
        found = await self.get_in(w, configuration_id, by, Right.CHANGE, for_update=True)
        if revision is not None and revision != found.revision:
            raise Refused(
                CHANGED_MEANWHILE,
                "Somebody else changed this connection configuration meanwhile. Read it again, then change it.",
            )
        return found

    async def _check(
        self, w: Work, wish: ConnectionWish, institution_id: int, before: ConnectionDetails | None = None
    ) -> None:
        found = rules.problems(wish, before)
        wanted = wish.only_exams or frozenset()
        if wanted and not any(one.field == "only_exams" for one in found):
            there = await queries.exams_of(w.db, institution_id, wanted)
            if there.keys() != wanted:
                found.append(
                    Problem(
                        "only_exams",
                        "no_such_exam",
                        "One of these exams is not there any more. Choose again.",
                    )
                )
        if found:
            raise Invalid(*found)

    def _values(self, wish: ConnectionWish, before: ConnectionDetails | None) -> dict[str, Any]:
        """Columns of a wish that is in order. What a stored password is for may have gone; then it goes too."""
        values: dict[str, Any] = {
            "name": wish.name.strip(),
            "purpose": wish.purpose.value,
            "encryption": wish.protection.value,
            "certificate": wish.certificate.strip() if wish.protection.is_by_certificate else None,
            "ping_interval_ms": wish.ping_interval_ms,
            "is_limited": wish.only_exams is not None,
        }
        if wish.protection is not FileProtection.PASSWORD:
            values["password_encrypted"] = None
        elif wish.password is not None:
            values["password_encrypted"] = self._box.encrypt(wish.password) if wish.password else None
        if wish.quit_password is not None:
            values["quit_password_hash"] = password_hash(wish.quit_password)
        return values | _fallback_values(wish.fallback, before)

    def _opened(self, sealed: str | None) -> str | None:
        return None if sealed is None else self._box.decrypt(sealed)

    async def _written(
        self,
        found: ConnectionDetails,
        sealed: SealedSecrets,
        server_url: str,
        password: str | None,
        purpose: FilePurpose,
    ) -> bytes:
        """In a thread: deriving keys from a password takes long enough to hold up pings."""
        only = found.only_exams or frozenset()
        fallback = found.fallback
        file = ConnectionFile(
            server_url=server_url,
            institution_id=str(found.institution_id),
            client_id=found.client_id,
            client_secret=self._box.decrypt(sealed.client_secret),
            ping_interval=timedelta(milliseconds=found.ping_interval_ms),
            purpose=_PURPOSES[purpose],
            exam_id=str(next(iter(only))) if len(only) == 1 else None,
            quit_password_hash=sealed.quit_password_hash,
            fallback=None
            if fallback is None
            else seb_file.Fallback(
                start_url=fallback.url,
                timeout=timedelta(milliseconds=fallback.timeout_ms),
                attempts=fallback.attempts,
                attempt_interval=timedelta(milliseconds=fallback.interval_ms),
                password_hash=sealed.fallback_password_hash,
            ),
        )
        by_certificate = found.protection.is_by_certificate
        return await asyncio.to_thread(
            connection_file_bytes,
            file,
            password=password,
            certificate=load_certificate(found.certificate.encode()) if by_certificate else None,
            certificate_prefix=_PREFIXES.get(found.protection, Prefix.CERTIFICATE),
        )

    async def _note(
        self, w: Work, of: ConnectionDetails, by: Account | None, deed: str, **detail: Any
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=f"connection_{deed}",
            institution_id=of.institution_id,
            detail={"name": of.name, **detail},
        )
        await self._changed(w)


def _fallback_values(wish: FallbackWish | None, before: ConnectionDetails | None) -> dict[str, Any]:
    if wish is None:
        return {"fallback_url": None, "fallback_password_hash": ""}
    values: dict[str, Any] = {
        "fallback_url": wish.url,
        "fallback_timeout_ms": wish.timeout_ms,
        "fallback_attempts": wish.attempts,
        "fallback_interval_ms": wish.interval_ms,
    }
    if wish.password is not None or before is None:
        values["fallback_password_hash"] = password_hash(wish.password or "")
    return values


def _changes(before: ConnectionDetails, after: ConnectionDetails, wish: ConnectionWish) -> list[str]:
    """Which fields changed; of passwords only that they did."""
    plain = ("name", "purpose", "protection", "certificate", "fallback", "ping_interval_ms", "only_exams")
    changed = [name for name in plain if getattr(before, name) != getattr(after, name)]
    if wish.password is not None or before.has_password != after.has_password:
        changed.append("password")
    if wish.quit_password is not None:
        changed.append("quit_password")
    if wish.fallback is not None and wish.fallback.password is not None:
        changed.append("fallback_password")
    return changed


def _name_taken(name: str) -> Invalid:
    return Invalid(
        Problem(
            "name",
            "connection_name_taken",
            f"There is a connection configuration “{name.strip()}” already. Choose another name.",
            {"name": name.strip()},
        )
    )


def _no_link() -> NotFound:
    return NotFound(
        "This link is not valid, or not any more. Ask the exam office for a new one.", key="link_over"
    )
