"""Service definitions: a meeting service with its credentials, entered once per institution and tested before it is used.

What a service needs to be told is said by its provider's own description; nothing here knows a field by name. Secrets come
in and never go out again: a blank one keeps what is stored. Whatever is changed of the values makes a definition unproven.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

import structlog

from invigilo import fields
from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import access, institution_of, require
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.errors import CHANGED_MEANWHILE, BadInput, Invalid, NotAllowed, NotFound, Problem, Refused
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import Service
from invigilo.proctoring import rules
from invigilo.proctoring.model import DefinitionWish, ServiceDefinition
from invigilo.providers.base import Feature, ZoomTicket
from invigilo.providers.description import BadFields, ServiceDescription, check_values
from invigilo.providers.meeting_page import MeetingPage, page_at
from invigilo.providers.proof import Outcome, Step
from invigilo.providers.registry import Offer
from invigilo.providers.steps import ProofFailed
from invigilo.providers.zoom_join import NO_ANSWER, put_in, steps_of_join, wants_join, without_meeting
from invigilo.secrets_box import SecretBox
from invigilo.storage.queries import services as queries
from invigilo.storage.work import Work, WorkFactory

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JoinTry:
    """A meeting that one browser may join, to prove what nothing else proves."""

    definition: ServiceDefinition
    page: MeetingPage
    ticket: ZoomTicket | None
    instead: Step | None = None
    """Without a ticket: the step that says why."""

    def steps(self, state: str = NO_ANSWER, code: int = 0) -> list[Step]:
        """What it shows that the browser came to this state, with this code of the meeting's own program."""
        if self.instead is not None:
            return [self.instead]
        return steps_of_join(state, code, sdk=self.page.origin, version=self.page.version)


class ServiceDefinitions:
    """Entering, changing, deleting and testing them."""

    def __init__(
        self, *, work: WorkFactory, reading: WorkFactory, box: SecretBox, clock: Clock, offer: Offer
    ) -> None:
        self._work = work
        self._reading = reading
        self._box = box
        self._clock = clock
        self._offer = offer
        self._testing: set[int] = set()
        self.descriptions: Mapping[Service, ServiceDescription] = offer.descriptions
        """Of every service offered here."""
        self.choices = rules.Choices(
            offered=self.descriptions.keys(),
            with_definition={one for one, said in self.descriptions.items() if said.fields},
            native={one for one, said in self.descriptions.items() if Feature.NATIVE_JOIN in said.features},
        )

    def description(self, service: Service) -> ServiceDescription:
        """Of any service; one that is not offered here has nothing to say."""
        return self.descriptions.get(service) or ServiceDescription(service.value, (), frozenset())

    # --- looking ---

    async def page(
        self,
        by: Account,
        *,
        search: str = "",
        service: str = "",
        sort: str = "name",
        is_descending: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[ServiceDefinition], int]:
        """One page of those this person may see, and how many there are."""
        require(by, Kind.SERVICE, Right.SEE)
        async with self._reading() as w:
            return await queries.page(
                w.db,
                institution_id=institution_of(by),
                search=search,
                service=service,
                sort=sort,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def get(self, definition_id: int, by: Account, right: Right = Right.SEE) -> ServiceDefinition:
        """Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            return access(by, Kind.SERVICE, await queries.by_id(w.db, definition_id), right)

    async def users_of(self, definition: ServiceDefinition) -> list[str]:
        """Names of the exams and templates that use it."""
        async with self._reading() as w:
            return await queries.users_of(w.db, definition.id)

    async def exams_with_rooms(self, definition: ServiceDefinition) -> list[str]:
        """Names of the exams that have rooms there: until they are reset, what identifies the service stays."""
        async with self._reading() as w:
            return await queries.exams_with_rooms(w.db, definition.id)

    # --- changing ---

    async def create(self, service: Service, wish: DefinitionWish, *, by: Account) -> ServiceDefinition:
        """A new one in this person's institution. Raises NotAllowed, Invalid."""
        require(by, Kind.SERVICE, Right.CHANGE)
        if by.institution_id is None:
            raise NotAllowed(
                "A meeting service belongs to an institution. Sign in as one of its administrators.",
                key="service_of_no_institution",
            )
        async with self._work() as w:
            return await self.create_in(w, by.institution_id, service, wish, by=by)

    async def create_in(
        self, w: Work, institution_id: int, service: Service, wish: DefinitionWish, *, by: Account | None
    ) -> ServiceDefinition:
        """Raises Invalid with every problem of every field."""
        taken = await self.is_name_taken(w, institution_id, wish.name)
        problems, kept = self.checked(service, wish, stored=frozenset(), taken=taken)
        if problems:
            raise Invalid(*problems)
        now = self._clock.now()
        values, secrets = self._parted(service, kept)
        definition_id = await queries.add(
            w.db,
            institution_id=institution_id,
            name=wish.name.strip(),
            service=service,
            values=values,
            sealed={name: self._sealed(secret, to_ms(now)) for name, secret in secrets.items()},
            created_at=to_ms(now),
        )
        await directory_changed(w)
        made = await queries.by_id(w.db, definition_id)
        assert made is not None
        await self._record(w, "service_created", made, by, service=service.value, secrets=sorted(secrets))
        return made

    async def is_name_taken(self, w: Work, institution_id: int, name: str, *, but: int | None = None) -> bool:
        """Whether another service of the institution has this name; one that cannot be a name at all is not taken."""
        if fields.text("name", name) is not None:
            return False
        return await queries.is_name_taken(w.db, institution_id, name.strip(), but=but)

    def checked(
        self, service: Service, wish: DefinitionWish, *, stored: frozenset[str], taken: bool = False
    ) -> tuple[list[Problem], dict[str, str]]:
        """Everything wrong with a wish, and what to store of it. `stored` names the secrets kept from before."""
        problems = rules.definition_problems(wish, taken=taken)
        description = self.descriptions.get(service)
        if description is None or not description.fields:
            problem = Problem(
                "service", "service_not_offered", "Choose a meeting service that is offered here."
            )
            return [problem, *problems], {}
        try:
            return problems, check_values(description, wish.values, stored=stored)
        except BadFields as error:
            for one in error.problems:
                known = description.field(one.field) is not None
                problems.append(Problem(one.field if known else "values", one.code, one.sentence, one.values))
        return problems, {}

    async def change(self, definition_id: int, wish: DefinitionWish, *, by: Account) -> ServiceDefinition:
        """Raises NotFound, NotAllowed, Invalid, and Refused (`changed_meanwhile`, `service_in_use`)."""
        async with self._work() as w:
            return await self.change_in(w, definition_id, wish, by=by)

    async def change_in(
        self, w: Work, definition_id: int, wish: DefinitionWish, *, by: Account | None
    ) -> ServiceDefinition:
        """As `change`; None is the operator of this server, who may."""
        await queries.lock_users(w.db, definition_id)
        before = await queries.by_id(w.db, definition_id, lock=True)
        if by is not None:
            before = access(by, Kind.SERVICE, before, Right.CHANGE)
        if before is None:
            raise NotFound(f"There is no service {definition_id}.", key="no_such_service")
        if wish.revision is not None and wish.revision != before.revision:
            raise Refused(
                CHANGED_MEANWHILE,
                "Somebody else changed this meanwhile. Look at what is new and save again.",
            )
        return await self._change_in(w, before, wish, by)

    async def _change_in(
        self, w: Work, before: ServiceDefinition, wish: DefinitionWish, by: Account | None
    ) -> ServiceDefinition:
        name = wish.name.strip()
        taken = await self.is_name_taken(w, before.institution_id, name, but=before.id)
        stored = frozenset(before.secrets)
        problems, kept = self.checked(before.service, wish, stored=stored, taken=taken)
        if problems:
            raise Invalid(*problems)
        values, secrets = self._parted(before.service, kept)
        changed = rules.changed_values(before.values, values)
        description = self.descriptions[before.service]
        identity = [one.name for one in description.fields if one.is_identity and one.name in changed]
        rules.may_change_identity(before, identity, await queries.exams_with_rooms(w.db, before.id))
        old = await queries.secrets_of(w.db, before.id)
        fresh = {
            one: secret
            for one, secret in secrets.items()
            if one not in old or self._box.decrypt(old[one]["sealed"]) != secret
        }
        if not changed and not fresh and name == before.name:
            return before
        now = to_ms(self._clock.now())
        wanted: dict[str, object] = {"name": name}
        if changed or fresh:
            sealed = old | {one: self._sealed(secret, now) for one, secret in fresh.items()}
            wanted |= {"values": values, "secrets_encrypted": sealed}
            wanted |= {"is_proven": False, "proof": None, "proved_at": None}
        if description.needs_entry & {*changed, *fresh}:
            wanted |= {"entered_at": None}
        await queries.change(w.db, before.id, **wanted)
        await directory_changed(w)
        after = await queries.by_id(w.db, before.id)
        assert after is not None
        renamed = {"was": before.name} if name != before.name else {}
        await self._record(w, "service_changed", after, by, fields=changed, secrets=sorted(fresh), **renamed)
        return after

    async def delete(self, definition_id: int, *, by: Account) -> None:
        """Raises NotFound, NotAllowed, and Refused (`definition_used`), which names who uses it."""
        async with self._work() as w:
            found = access(
                by, Kind.SERVICE, await queries.by_id(w.db, definition_id, lock=True), Right.CHANGE
            )
            rules.may_delete_definition(found, await queries.users_of(w.db, found.id))
            await queries.remove(w.db, found.id)
            await self._record(w, "service_deleted", found, by, service=found.service.value)

    # --- testing ---

    async def begin_test(self, definition_id: int, *, by: Account | None) -> AsyncGenerator[Step]:
        """The steps of a test, as they are known; its outcome is kept with its date when the last one has come.

        The caller has checked that this person may change what the test is for. Raises Refused (`test_running`).
        """
        async with self._reading() as w:
            found = await queries.by_id(w.db, definition_id)
            if found is None:
                raise BadInput("This service is gone. Choose another one.", field="definition")
            if found.service not in self.descriptions:
                raise BadInput(
                    "This kind of service is not offered here, so it cannot be tested.", field="service"
                )
            values = await self.revealed(w, found)
        if found.id in self._testing:
            raise Refused(
                "test_running", "This service is being tested already. Wait until that test is done."
            )
        return self._steps(found, values, by)

    def join_page(self, definition: ServiceDefinition) -> MeetingPage | None:
        """Where a browser finds the program by which it joins in a frame of ours; None for a service without one."""
        page = page_at(definition.service, definition.values)
        return page if page is not None and page.is_framed else None

    def wants_join(self, definition: ServiceDefinition) -> bool:
        """Whether its last test left something that a browser could prove by joining."""
        return self.join_page(definition) is not None and wants_join(definition.proof)

    @asynccontextmanager
    async def joining(self, definition_id: int) -> AsyncGenerator[JoinTry]:
        """What the last test left to a browser that joins: a meeting for it, which is gone afterwards whatever came of it.

        The caller has checked that this person may change the service. Where no meeting can be made the try has no ticket,
        and says why. Raises NotFound, Refused (`join_not_due`, `test_running`).
        """
        async with self._reading() as w:
            found = await queries.by_id(w.db, definition_id)
            if found is None:
                raise NotFound(f"There is no service {definition_id}.", key="no_such_service")
            values = await self.revealed(w, found)
        page = self.join_page(found)
        if page is None or not wants_join(found.proof):
            raise Refused(
                "join_not_due", "Test this service first: nothing is left that a browser could prove."
            )
        if found.id in self._testing:
            raise Refused(
                "test_running", "This service is being tested already. Wait until that test is done."
            )
        self._testing.add(found.id)
        try:
            async with AsyncExitStack() as stack:
                try:
                    ticket = await stack.enter_async_context(self._offer.to_join(found.service, values))
                except ProofFailed as why:
                    yield JoinTry(found, page, None, without_meeting(why.cause, why.values))
                    return
                yield JoinTry(found, page, ticket)
        finally:
            self._testing.discard(found.id)

    async def keep_join(
        self, tried: JoinTry, steps: Sequence[Step], *, by: Account
    ) -> ServiceDefinition | None:
        """The test's outcome with what the join has shown; None when the service was changed meanwhile."""
        now = self._clock.now()
        async with self._work() as w:
            current = await queries.by_id(w.db, tried.definition.id, lock=True)
            if current is None or current.revision != tried.definition.revision:
                return None
            proof = put_in(current.proof, steps)
            failed = [one["step"] for one in proof if one["outcome"] == Outcome.FAILED]
            is_proven = not failed and any(one["outcome"] == Outcome.OK for one in proof)
            await queries.store_proof(w.db, current.id, proof=proof, at=to_ms(now), is_proven=is_proven)
            if any(one.code == "zoom_sdk" and one.outcome is Outcome.OK for one in steps):
                await queries.store_entry(w.db, current.id, revision=current.revision, at=to_ms(now))
            await directory_changed(w)
            await self._record(w, "service_tested", current, by, proven=is_proven, failed=failed, joined=True)
            kept = await queries.by_id(w.db, current.id)
        log.info("service_joined", definition_id=tried.definition.id, is_proven=is_proven, failed=failed)
        return kept

    async def remember_entries(self, entries: Mapping[int, int]) -> None:
        """Somebody was in a meeting of these definitions: id → revision that let them in."""
        if not entries:
            return
        now = to_ms(self._clock.now())
        async with self._work() as w:
            for definition_id, revision in sorted(entries.items()):
                await queries.store_entry(w.db, definition_id, revision=revision, at=now)

    async def revealed(self, w: Work, definition: ServiceDefinition) -> dict[str, str]:
        """All values of a definition with its secrets: for providers and their proof, and for nothing that is shown."""
        stored = await queries.secrets_of(w.db, definition.id)
        secrets = {name: self._box.decrypt(one["sealed"]) for name, one in stored.items()}
        return dict(definition.values) | secrets

    async def _steps(
        self, definition: ServiceDefinition, values: Mapping[str, str], by: Account | None
    ) -> AsyncGenerator[Step]:
        self._testing.add(definition.id)
        steps: list[Step] = []
        try:
            async with aclosing(self._offer.prove(definition.service, values)) as running:
                async for step in running:
                    steps.append(step)
                    yield step
            await self._keep(definition, steps, by)
        finally:
            self._testing.discard(definition.id)

    async def _keep(self, definition: ServiceDefinition, steps: Sequence[Step], by: Account | None) -> None:
        """Keep the outcome, unless the definition was changed meanwhile: then it says nothing about it."""
        failed = [step.code for step in steps if step.outcome is Outcome.FAILED]
        is_proven = not failed and any(step.outcome is Outcome.OK for step in steps)
        now = self._clock.now()
        async with self._work() as w:
            current = await queries.by_id(w.db, definition.id, lock=True)
            if current is None or current.revision != definition.revision:
                return
            proof = [step.as_json() for step in steps]
            await queries.store_proof(w.db, current.id, proof=proof, at=to_ms(now), is_proven=is_proven)
            await directory_changed(w)
            await self._record(w, "service_tested", current, by, proven=is_proven, failed=failed)
        log.info("service_tested", definition_id=definition.id, is_proven=is_proven, failed=failed)

    # --- parts ---

    def _parted(self, service: Service, kept: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """(what may be shown, secrets)."""
        secret = {one.name for one in self.descriptions[service].fields if one.kind.is_secret}
        values = {name: value for name, value in kept.items() if name not in secret}
        return values, {name: value for name, value in kept.items() if name in secret and value}

    def _sealed(self, secret: str, now: int) -> dict[str, object]:
        return {"sealed": self._box.encrypt(secret), "since": now}

    async def _record(
        self, w: Work, deed: str, definition: ServiceDefinition, by: Account | None, **detail: object
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=definition.institution_id,
            detail={"name": definition.name, **detail},
        )
