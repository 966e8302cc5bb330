"""Exam templates: what new exams of a kind start with. An exam copies it once and stands on its own from then on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError

from invigilo import fields
from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import access, institution_of, require
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.exams import rules
from invigilo.exams.model import ConfigurationChoice, ProctoringSettings, Supporter, Template, TemplateWish
from invigilo.exams.service import Offers, proctoring_columns
from invigilo.secrets_box import SecretBox
from invigilo.storage.queries import exam_office as queries
from invigilo.storage.work import Work, WorkFactory

T = TypeVar("T")


class Templates:
    """Of an institution, for its administrators."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory, box: SecretBox, clock: Clock) -> None:
        self._work = work
        self._reading = reading
        self._box = box
        self._clock = clock

    async def page(
        self,
        by: Account,
        *,
        search: str = "",
        is_descending: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[Template], int]:
        """Those this person may see, by name. Raises NotAllowed."""
        require(by, Kind.TEMPLATE, Right.SEE)
        async with self._reading() as w:
            return await queries.template_page(
                w.db,
                institution_id=institution_of(by),
                search=search,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def get(self, template_id: int, by: Account, right: Right = Right.SEE) -> Template:
        """Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            return access(by, Kind.TEMPLATE, await queries.template_by_id(w.db, template_id), right)

    async def offers(self, institution_id: int) -> Offers:
        """What may be chosen for a template; configuration templates too. Who asks was checked before."""
        async with self._reading() as w:
            return Offers(
                await queries.supporters_offered(w.db, institution_id),
                await queries.configurations_offered(w.db, institution_id, with_templates=True),
                [],
                await queries.time_zone_of(w.db, institution_id),
            )

    async def people(self, ids: frozenset[int]) -> list[Supporter]:
        """Names of assigned people, active or not."""
        async with self._reading() as w:
            return await queries.people_named(w.db, ids)

    async def create(self, wish: TemplateWish, by: Account) -> Template:
        """Raises NotAllowed, Invalid."""
        require(by, Kind.TEMPLATE, Right.CHANGE)
        assert by.institution_id is not None
        async with self._work() as w:
            return await self.create_in(w, wish, by=by, institution_id=by.institution_id)

    async def create_in(
        self,
        w: Work,
        wish: TemplateWish,
        *,
        by: Account | None,
        institution_id: int,
        proctoring: ProctoringSettings | None = None,
    ) -> Template:
        """The same inside an open transaction. Raises Invalid."""
        await self._check(w, wish, institution_id, before=None)
        columns = {
            **_columns(wish),
            **({} if proctoring is None else proctoring_columns(proctoring)),
            "institution_id": institution_id,
            "quit_password_encrypted": self._box.encrypt(wish.quit_password) if wish.quit_password else None,
            "created_at": to_ms(self._clock.now()),
        }
        template_id = await _unique(wish, lambda: queries.add_template(w.db, **columns))
        await queries.set_template_supporters(w.db, template_id, wish.supporters)
        template = await self._read(w, template_id)
        await self._record(w, template, by, "exam_template_created")
        return template

    async def change(
        self, template_id: int, wish: TemplateWish, by: Account, *, revision: int | None
    ) -> Template:
        """Raises NotFound, NotAllowed, Invalid, and Refused when changed meanwhile."""
        async with self._work() as w:
            before = access(by, Kind.TEMPLATE, await queries.template_by_id(w.db, template_id), Right.CHANGE)
            await self._check(w, wish, before.institution_id, before=before)
            columns = _columns(wish)
            if wish.quit_password is not None:
                sealed = self._box.encrypt(wish.quit_password) if wish.quit_password else None
                columns["quit_password_encrypted"] = sealed
            is_mine = await _unique(
                wish, lambda: queries.update_template(w.db, template_id, revision=revision, **columns)
            )
            if not is_mine:
                raise Refused(
                    CHANGED_MEANWHILE,
                    "Somebody else changed this meanwhile. Nothing was saved: read it again, then repeat your change.",
                )
            await queries.set_template_supporters(w.db, template_id, wish.supporters)
            after = await self._read(w, template_id)
            names = ("name", "description", "configuration_id", "supporters")
            changed = [name for name in names if getattr(before, name) != getattr(after, name)]
            if wish.quit_password is not None:
                changed.append("quit_password")
            await self._record(w, after, by, "exam_template_changed", changed=changed)
            return after

    async def delete(self, template_id: int, by: Account) -> None:
        """No exam is touched: each has its copy. Raises NotFound, NotAllowed."""
        async with self._work() as w:
            template = access(
                by, Kind.TEMPLATE, await queries.template_by_id(w.db, template_id), Right.CHANGE
            )
            await queries.delete_template(w.db, template_id)
            await self._record(w, template, by, "exam_template_deleted")

    async def _read(self, w: Work, template_id: int) -> Template:
        template = await queries.template_by_id(w.db, template_id)
        if template is None:
            raise NotFound("There is no such exam template.", key="no_such_template")
        return template

    async def _check(
        self, w: Work, wish: TemplateWish, institution_id: int, *, before: Template | None
    ) -> None:
        found = rules.template_problems(wish)
        but = None if before is None else before.id
        is_name_fit = fields.text("name", wish.name) is None
        if is_name_fit and await queries.is_template_name_taken(
            w.db, institution_id, wish.name.strip(), but=but
        ):
            found.append(_name_taken(wish.name))
        offered = {one.id for one in await queries.supporters_offered(w.db, institution_id)}
        found += rules.supporter_problems(
            wish.supporters, offered | (frozenset() if before is None else before.supporters)
        )
        if before is None or wish.configuration_id != before.configuration_id:
            found += rules.configuration_problems(
                await self._choice(w, wish.configuration_id),
                wished=wish.configuration_id,
                institution_id=institution_id,
                template_allowed=True,
            )
        if found:
            raise Invalid(*found)

    async def _choice(self, w: Work, configuration_id: int | None) -> ConfigurationChoice | None:
        if configuration_id is None:
            return None
        return await queries.configuration_choice(w.db, configuration_id)

    async def _record(
        self, w: Work, template: Template, by: Account | None, deed: str, **detail: Any
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=template.institution_id,
            detail={"name": template.name, **detail},
        )


async def _unique(wish: TemplateWish, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Two at once may wish for one name; the database decides between them."""
    try:
        return await write()
    except IntegrityError as error:
        raise Invalid(_name_taken(wish.name)) from error


def _columns(wish: TemplateWish) -> dict[str, Any]:
    return {
        "name": wish.name.strip(),
        "description": wish.description.strip(),
        "configuration_id": wish.configuration_id,
    }


def _name_taken(name: str) -> Problem:
    return Problem(
        "name",
        "template_name_taken",
        "There is a template of this name already. Choose another name.",
        {"name": name},
    )
