"""Institutions and the people in them: who there is, what they may change of each other, and of themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from invigilo.accounts import passwords, rules
from invigilo.accounts.model import Account, Institution, Kind, Right, Role, Session
from invigilo.accounts.permissions import access, institution_of, require
from invigilo.accounts.rules import InstitutionWish, NewPerson, PersonWish, ProfileWish
from invigilo.accounts.service import SignInLimit
from invigilo.activity.service import record
from invigilo.clock import Clock, from_ms
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.secrets_box import digest
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.queries import people as queries
from invigilo.storage.work import Work, WorkFactory

ACCOUNT_CHANGED = "account_changed"
"""Announced with the person's id: what is remembered of them, and of their sign-ins, is out of date."""

_CHANGED = "Somebody else changed this meanwhile. Nothing was saved; look at it again."


@dataclass(frozen=True, slots=True)
class PeopleWish:
    """Which people to list. `institution_id` narrows what a server administrator sees; others see their own anyway."""

    search: str = ""
    role: Role | None = None
    is_active: bool | None = None
    institution_id: int | None = None
    sort: str = "username"
    is_descending: bool = False
    offset: int = 0
    limit: int = 50


class People:
    """Everything that pages and API do with accounts and institutions."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        clock: Clock,
        institutions_changed: Callable[[Work], Awaitable[None]],
    ) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock
        self._institutions_changed = institutions_changed
        """Called in the transaction that changes an institution: others keep their names in memory."""
        self._password_tries = SignInLimit()

    # --- people ---

    async def list(self, wish: PeopleWish, *, by: Account) -> tuple[list[Account], int]:
        """One page of the people this person may see, and how many there are in all."""
        require(by, Kind.USER, Right.SEE)
        own = institution_of(by)
        async with self._reading() as w:
            return await queries.people_page(
                w.db,
                institution_id=wish.institution_id if own is None else own,
                search=wish.search,
                role=wish.role,
                is_active=wish.is_active,
                sort=wish.sort,
                is_descending=wish.is_descending,
                offset=wish.offset,
                limit=wish.limit,
            )

    async def get(self, user_id: int, *, by: Account, right: Right = Right.SEE) -> Account:
        """One person. Raises NotFound or NotAllowed."""
        async with self._reading() as w:
            return access(by, Kind.USER, await queries.person_by_id(w.db, user_id), right)

    async def create(self, wish: NewPerson, *, by: Account) -> tuple[Account, str]:
        """A new person, and the password they sign in with for the first time. Raises Invalid, NotAllowed."""
        require(by, Kind.USER, Right.CHANGE)
        password = wish.password or passwords.temporary()
        password_hash = await passwords.hash_aside(password) if _may_hash(password) else ""
        async with self._saving() as w:
            return await self.create_in(w, wish, password_hash=password_hash, by=by), password

    async def create_in(self, w: Work, wish: NewPerson, *, password_hash: str, by: Account | None) -> Account:
        """The same within a transaction; `by` is None for an operator, who may do everything."""
        institution = None
        if wish.institution_id is not None:
            institution = await queries.institution_by_id(w.db, wish.institution_id)
            if by is not None:
                institution = access(by, Kind.INSTITUTION, institution, Right.CHANGE)
        problems = rules.new_person_problems(
            wish, institution=None if institution is None else institution.name
        )
        if problems:
            raise Invalid(*problems)
        if by is not None:
            rules.check_role(wish.role, by)
        if await account_queries.by_username(w.db, wish.username) is not None:
            raise Invalid(
                Problem("username", "username_taken", "Somebody has this user name already. Choose another.")
            )
        user_id = await account_queries.add(
            w.db,
            institution_id=wish.institution_id,
            username=wish.username,
            display_name=wish.display_name.strip(),
            role=wish.role.value,
            language=wish.language,
            time_zone=wish.time_zone,
            password_hash=password_hash,
            must_change_password=by is not None,
            created_at=self._clock.now_ms(),
        )
        person = await queries.person_by_id(w.db, user_id)
        assert person is not None
        await self._note(w, "user_created", person, by, {"role": person.role.value})
        return person

    async def change(self, user_id: int, wish: PersonWish, *, by: Account) -> Account:
        """Change somebody. Raises Invalid, NotFound, NotAllowed, Refused (`changed_meanwhile`, or what locks out)."""
        problems = rules.profile_problems(wish)
        async with self._saving() as w:
            person = access(by, Kind.USER, await queries.person_by_id(w.db, user_id), Right.CHANGE)
            if problems:
                raise Invalid(*problems)
            others = await queries.active_administrators(
                w.db, role=person.role, institution_id=person.institution_id, besides=person.id
            )
            if wish.role is not person.role:
                rules.check_role(wish.role, by)
            rules.check_change(person, wish, by=by, other_administrators=others)
            changed = await self._save(
                w,
                person,
                revision=wish.revision,
                display_name=wish.display_name.strip(),
                role=wish.role.value,
                language=wish.language,
                time_zone=wish.time_zone,
                is_active=wish.is_active,
            )
            if found := rules.changes(person, wish):
                await self._note(w, "user_changed", changed, by, {"changes": found})
            if person.is_active and not wish.is_active:
                await account_queries.end_sessions_of(w.db, person.id)
        return changed

    async def set_password(self, user_id: int, password: str | None, *, by: Account) -> str:
        """Give somebody a password for their next sign-in, when they choose another; None makes one. Ends their sign-ins."""
        person = await self.get(user_id, by=by, right=Right.CHANGE)
        if person.id == by.id:
            raise Refused("own_password", "Change your own password on the page “Account”.")
        new = password or passwords.temporary()
        await self._check_password(person, new)
        password_hash = await passwords.hash_aside(new)
        async with self._saving() as w:
            person = access(by, Kind.USER, await queries.person_by_id(w.db, user_id), Right.CHANGE)
            await self._save(w, person, revision=None, password_hash=password_hash, must_change_password=True)
            await account_queries.end_sessions_of(w.db, person.id)
            await self._note(w, "user_password", person, by, {})
        return new

    # --- one's own account ---

    async def me(self, *, by: Account) -> Account:
        """As it is in the database now: what is remembered of a session may be some seconds old."""
        async with self._reading() as w:
            return await self._me(w, by)

    async def change_profile(self, wish: ProfileWish, *, by: Account) -> Account:
        problems = rules.profile_problems(wish)
        if problems:
            raise Invalid(*problems)
        async with self._saving() as w:
            me = await self._me(w, by)
            changed = await self._save(
                w,
                me,
                revision=wish.revision,
                display_name=wish.display_name.strip(),
                language=wish.language,
                time_zone=wish.time_zone,
            )
            if found := rules.changes(me, wish):
                await self._note(w, "profile_changed", changed, by, {"changes": found})
        return changed

    async def change_password(self, current: str, new: str, *, by: Account, session: str | None) -> None:
        """Choose another password; every other sign-in ends, `session` stays. Raises Invalid, Refused (`too_many_tries`)."""
        now = self._clock.now_ms()
        key = str(by.id)
        if pause := self._password_tries.pause(key, now):
            seconds = max(1, round(pause / 1000))
            raise Refused(
                "too_many_tries",
                f"Too many tries. Please wait {seconds} seconds.",
                values={"seconds": seconds},
            )
        async with self._reading() as w:
            before = await queries.password_hash_of(w.db, by.id)
        if not await passwords.verify_aside(before, current):
            self._password_tries.failed(key, now)
            raise Invalid(Problem("current_password", "wrong_password", "This is not your current password."))
        self._password_tries.succeeded(key)
        await self._check_password(by, new, field="new_password")
        if new == current:
            raise Invalid(Problem("new_password", "same_password", "Choose another than the current one."))
        password_hash = await passwords.hash_aside(new)
        async with self._saving() as w:
            me = await self._me(w, by)
            await self._save(w, me, revision=None, password_hash=password_hash, must_change_password=False)
            kept = None if session is None else digest(session)
            await queries.end_other_sessions(w.db, me.id, keep=kept)
            await self._note(w, "own_password_changed", me, by, {})

    async def sessions(self, by: Account, *, session: str | None) -> list[Session]:
        """One's sign-ins that are in force."""
        this = None if session is None else digest(session)
        async with self._reading() as w:
            found = await queries.sessions_of(w.db, by.id, self._clock.now_ms())
        return [Session(from_ms(since), from_ms(until), one == this) for one, since, until in found]

    async def end_sessions(self, *, by: Account, session: str | None) -> int:
        """Sign out everywhere else; how many sign-ins that ended."""
        async with self._work() as w:
            ended = await queries.end_other_sessions(
                w.db, by.id, keep=None if session is None else digest(session)
            )
            if ended:
                await self._note(w, "sessions_ended", by, by, {"sessions": ended})
            w.announce(ACCOUNT_CHANGED, by.id)
        return ended

    # --- institutions ---

    async def institutions(
        self, *, search: str = "", is_descending: bool = False, offset: int = 0, limit: int = 50, by: Account
    ) -> tuple[list[tuple[Institution, int]], int]:
        """The institutions this person may see, with how many people each has; and how many there are."""
        require(by, Kind.INSTITUTION, Right.SEE)
        async with self._reading() as w:
            return await queries.institutions_page(
                w.db,
                only=institution_of(by),
                search=search,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def institution(
        self, institution_id: int, *, by: Account, right: Right = Right.SEE
    ) -> tuple[Institution, dict[str, int]]:
        """One institution and what it has. Raises NotFound or NotAllowed."""
        async with self._reading() as w:
            found = await queries.institution_by_id(w.db, institution_id)
            return access(by, Kind.INSTITUTION, found, right), await queries.in_use_by(w.db, institution_id)

    async def choices(self, *, by: Account) -> list[Institution]:
        """Where this person may put people, by name."""
        async with self._reading() as w:
            if by.role is Role.SERVER_ADMIN:
                return await queries.all_institutions(w.db)
            own = await queries.institution_by_id(w.db, by.institution_id or 0)
        return [] if own is None else [own]

    async def create_institution(self, wish: InstitutionWish, *, by: Account) -> Institution:
        rules.check_server_admin(by)
        async with self._saving() as w:
            return await self.create_institution_in(w, wish, by=by)

    async def create_institution_in(
        self, w: Work, wish: InstitutionWish, *, by: Account | None
    ) -> Institution:
        """The same within a transaction; `by` is None for an operator."""
        await self._check_institution(w, wish, but=None)
        made = await queries.add_institution(
            w.db, name=wish.name.strip(), time_zone=wish.time_zone, created_at=self._clock.now_ms()
        )
        await self._institutions_changed(w)
        await self._note_institution(w, "institution_created", made, by)
        return made

    async def change_institution(
        self, institution_id: int, wish: InstitutionWish, *, by: Account
    ) -> Institution:
        async with self._saving() as w:
            before = access(
                by,
                Kind.INSTITUTION,
                await queries.institution_by_id(w.db, institution_id),
                Right.CHANGE,
            )
            await self._check_institution(w, wish, but=before.id)
            after = await queries.change_institution(
                w.db, before.id, revision=wish.revision, name=wish.name.strip(), time_zone=wish.time_zone
            )
            if after is None:
                raise Refused(CHANGED_MEANWHILE, _CHANGED)
            await self._institutions_changed(w)
            found = [
                f"{word} {old} → {new}"
                for word, old, new in (
                    ("name", before.name, after.name),
                    ("time zone", before.time_zone, after.time_zone),
                )
                if old != new
            ]
            if found:
                await self._note_institution(w, "institution_changed", after, by, {"changes": found})
        return after

    async def remove_institution(self, institution_id: int, *, by: Account) -> None:
        """Delete an empty institution. Raises Refused (`in_use`) that says what it still has."""
        rules.check_server_admin(by)
        async with self._saving() as w:
            found = access(
                by,
                Kind.INSTITUTION,
                await queries.institution_by_id(w.db, institution_id, lock=True),
                Right.CHANGE,
            )
            rules.check_empty(await queries.in_use_by(w.db, found.id))
            await queries.remove_institution(w.db, found.id)
            await self._institutions_changed(w)
            await self._note_institution(w, "institution_deleted", found, by)

    # --- steps they share ---

    @asynccontextmanager
    async def _saving(self) -> AsyncGenerator[Work]:
        """A writing transaction in which two may want the same name at the same moment."""
        try:
            async with self._work() as w:
                yield w
        except IntegrityError as error:
            raise Refused(CHANGED_MEANWHILE, _CHANGED) from error

    async def _me(self, w: Work, by: Account) -> Account:
        me = await queries.person_by_id(w.db, by.id)
        if me is None:
            raise NotFound("This account is gone.")
        return me

    async def _save(self, w: Work, person: Account, *, revision: int | None, **values: Any) -> Account:
        changed = await queries.change_person(w.db, person.id, revision=revision, **values)
        if changed is None:
            raise Refused(CHANGED_MEANWHILE, _CHANGED)
        w.announce(ACCOUNT_CHANGED, person.id)
        return changed

    async def _check_password(self, person: Account, password: str, *, field: str = "password") -> None:
        institution = None
        if person.institution_id is not None:
            async with self._reading() as w:
                institution = await queries.institution_by_id(w.db, person.institution_id)
        problem = rules.password_problem(
            password,
            username=person.username,
            institution=None if institution is None else institution.name,
            field=field,
        )
        if problem is not None:
            raise Invalid(problem)

    async def _check_institution(self, w: Work, wish: InstitutionWish, *, but: int | None) -> None:
        problems = rules.institution_problems(wish)
        if not problems:
            same = await queries.institution_named(w.db, wish.name.strip())
            if same is not None and same.id != but:
                problems = [Problem("name", "institution_taken", "There is an institution of this name.")]
        if problems:
            raise Invalid(*problems)

    async def _note(
        self, w: Work, deed: str, person: Account, by: Account | None, detail: dict[str, Any]
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=person.institution_id,
            detail={"username": person.username, **detail},
        )

    async def _note_institution(
        self,
        w: Work,
        deed: str,
        institution: Institution,
        by: Account | None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=institution.id,
            detail={"name": institution.name, **(detail or {})},
        )


def _may_hash(password: str) -> bool:
    """Whether it is worth the time: one that no rule accepts is refused by the rules, whose words are better."""
    return rules.password_problem(password, username="") is None
