"""Exam configurations: made, edited as a draft by several people at once, published as numbered versions.

Every method takes the person who asks and finds the configuration through `accounts.permissions`; None is an operator on
the command line. The draft is changed key by key: who read an older revision is merged with what others changed
meanwhile, and refused only where both changed the same key (`rules.conflicts`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import access, institution_of, require
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.configurations import rules
from invigilo.configurations.model import (
    TAKEN_BACK,
    Change,
    Configuration,
    ConfigurationLine,
    ConfigurationWish,
    Draft,
    Saved,
    Use,
    Version,
)
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.sebconfig import plist, values
from invigilo.sebconfig.config_key import config_key
from invigilo.storage.queries import configurations as queries
from invigilo.storage.work import Work, WorkFactory

ONE_EDIT = timedelta(minutes=5)
"""What one person types into one field within this time is one line of the history."""


async def _nothing(_w: Work, _configuration_id: int, _version: int) -> None:
    return None


class Configurations:
    def __init__(self, *, work: WorkFactory, reading: WorkFactory, clock: Clock) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock
        self.when_published: Callable[[Work, int, int], Awaitable[None]] = _nothing
        """Called in the publishing transaction with the configuration's id and the new version's number."""

    # --- finding ---

    async def get_in(
        self, w: Work, configuration_id: int, by: Account | None, right: Right, *, for_update: bool = False
    ) -> Configuration:
        """The configuration, if this person has the right. Raises NotFound or NotAllowed."""
        found = await queries.configuration_by_id(w.db, configuration_id, for_update=for_update)
        if by is not None:
            return access(by, Kind.CONFIGURATION, found, right)
        if found is None:
            raise NotFound("There is no such exam configuration.")
        return found

    async def get(self, configuration_id: int, by: Account, right: Right = Right.SEE) -> Configuration:
        async with self._reading() as w:
            return await self.get_in(w, configuration_id, by, right)

    async def page(
        self,
        by: Account,
        *,
        search: str,
        is_template: bool | None,
        sort: str,
        is_descending: bool,
        offset: int,
        limit: int,
    ) -> tuple[list[ConfigurationLine], int]:
        """One page of the list this person may see, and how many there are."""
        require(by, Kind.CONFIGURATION, Right.SEE)
        async with self._reading() as w:
            return await queries.configuration_page(
                w.db,
                institution_id=institution_of(by),
                search=search,
                is_template=is_template,
                sort=sort,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def choices(self, by: Account, *, is_template: bool | None = None) -> list[tuple[int, str]]:
        """Ids and names, for choosing one."""
        require(by, Kind.CONFIGURATION, Right.SEE)
        assert by.institution_id is not None  # only people of an institution have this right
        async with self._reading() as w:
            return await queries.configuration_choices(w.db, by.institution_id, is_template=is_template)

    async def draft(self, configuration_id: int, by: Account, right: Right = Right.SEE) -> Draft:
        """The configuration with its draft's values and those of its newest version."""
        async with self._reading() as w:
            return await self.draft_in(w, await self.get_in(w, configuration_id, by, right))

    async def draft_in(self, w: Work, configuration: Configuration) -> Draft:
        found = values.completed(await queries.draft_values(w.db, configuration.id))
        number = configuration.published_version
        version = None if number is None else await queries.version_values(w.db, configuration.id, number)
        return Draft(configuration, found, None if version is None else values.completed(version[1]))

    async def uses(self, configuration_id: int, by: Account) -> list[Use]:
        async with self._reading() as w:
            await self.get_in(w, configuration_id, by, Right.SEE)
            return await queries.uses_of(w.db, configuration_id)

    # --- as a whole ---

    async def create(
        self,
        wish: ConfigurationWish,
        *,
        by: Account,
        template_id: int | None = None,
        copy_of: int | None = None,
        imported: Mapping[str, Any] | None = None,
    ) -> Configuration:
        """Make one: from a template, as a copy, from an imported file's values, or from SEB's defaults."""
        require(by, Kind.CONFIGURATION, Right.CHANGE)
        assert by.institution_id is not None
        async with self._work() as w:
            return await self.create_in(
                w,
                wish,
                by=by,
                institution_id=by.institution_id,
                template_id=template_id,
                copy_of=copy_of,
                imported=imported,
            )

    async def create_in(
        self,
        w: Work,
        wish: ConfigurationWish,
        *,
        by: Account | None,
        institution_id: int,
        template_id: int | None = None,
        copy_of: int | None = None,
        imported: Mapping[str, Any] | None = None,
    ) -> Configuration:
        found = rules.problems(wish)
        begins: Mapping[str, Any] = values.new_configuration_values() if imported is None else imported
        if template_id is not None:
            begins = await self._template_values(w, template_id, by, institution_id, found)
        elif copy_of is not None:
            source = await self.get_in(w, copy_of, by, Right.SEE)
            begins = await queries.draft_values(w.db, source.id)
        await self._check_name(w, institution_id, wish, found)
        now = to_ms(self._clock.now())
        try:
            made = await queries.add_configuration(
                w.db,
                institution_id=institution_id,
                name=wish.name.strip(),
                description=wish.description.strip(),
                is_template=wish.is_template,
                template_id=template_id,
                draft=values.completed(begins),
                created_at=now,
                changed_at=now,
            )
        except IntegrityError as error:
            raise Invalid(_name_taken(wish.name)) from error
        how = (
            "template"
            if template_id
            else "copy"
            if copy_of
            else "file"
            if imported is not None
            else "defaults"
        )
        configuration = await self.get_in(w, made, None, Right.SEE)
        await self._record(w, configuration, by, "configuration_created", made_from=how)
        return configuration

    async def _template_values(
        self, w: Work, template_id: int, by: Account | None, institution_id: int, found: list[Problem]
    ) -> Mapping[str, Any]:
        """What the template's newest version says, or its draft while it has none."""
        template = await self.get_in(w, template_id, by, Right.SEE)
        if not template.is_template or template.institution_id != institution_id:
            found.append(Problem("template_id", "not_a_template", "Choose a configuration template."))
        draft = await self.draft_in(w, template)
        return draft.values if draft.published is None else draft.published

    async def _check_name(
        self,
        w: Work,
        institution_id: int,
        wish: ConfigurationWish,
        found: list[Problem],
        but: int | None = None,
    ) -> None:
        is_said = not any(one.field == "name" for one in found)
        if is_said and await queries.is_name_taken(w.db, institution_id, wish.name.strip(), but=but):
            found.append(_name_taken(wish.name))
        if found:
            raise Invalid(*found)

    async def describe(self, configuration_id: int, wish: ConfigurationWish, *, by: Account) -> Configuration:
        """Change name, description, and whether it is a template."""
        async with self._work() as w:
            before = await self.get_in(w, configuration_id, by, Right.CHANGE, for_update=True)
            found = rules.problems(wish)
            await self._check_name(w, before.institution_id, wish, found, but=before.id)
            if wish.is_template and not before.is_template:
                rules.may_be_template(await queries.uses_of(w.db, before.id))
            name, description = wish.name.strip(), wish.description.strip()
            changes: dict[str, Any] = {
                field: {"before": was, "after": is_now}
                for field, was, is_now in (
                    ("name", before.name, name),
                    ("description", before.description, description),
                    ("is_template", before.is_template, wish.is_template),
                )
                if was != is_now
            }
            if not changes:
                return before
            try:
                await queries.update_configuration(
                    w.db,
                    before.id,
                    name=name,
                    description=description,
                    is_template=wish.is_template,
                    changed_at=to_ms(self._clock.now()),
                )
            except IntegrityError as error:
                raise Invalid(_name_taken(wish.name)) from error
            await self._record(w, before, by, "configuration_changed", changes=changes)
            return await self.get_in(w, before.id, None, Right.SEE)

    async def delete(self, configuration_id: int, *, by: Account) -> None:
        """Raises Refused while an exam or an exam template uses it, naming them."""
        async with self._work() as w:
            configuration = await self.get_in(w, configuration_id, by, Right.CHANGE, for_update=True)
            rules.may_delete(await queries.uses_of(w.db, configuration.id))
            await queries.delete_configuration(w.db, configuration.id)
            await self._record(w, configuration, by, "configuration_deleted")

    # --- the draft ---

    async def change(
        self,
        configuration_id: int,
        changes: Mapping[str, object],
        *,
        base_revision: int,
        by: Account,
        reset: tuple[str, ...] = (),
    ) -> Saved:
        """Save edits of single settings, with what follows from them.

        `base_revision` is the one this person has read. What others changed since is merged and told; where both
        changed the same setting, nothing is saved (`ChangedMeanwhile`, code CHANGED_MEANWHILE). Raises BadInput with
        the setting a value does not fit.
        """
        async with self._locked(configuration_id, by) as (w, configuration):
            draft = await self.draft_in(w, configuration)
            newer: list[Change] = []
            if base_revision < configuration.draft_revision:
                newer = await queries.changes_since(w.db, configuration.id, base_revision)
            touched = rules.touched_by_others(newer)
            wished = rules.apply(draft.values, changes, reset)
            asked = [*changes, *reset]
            refused = rules.conflicts(touched, draft.values, wished, asked)
            if refused:
                raise rules.changed_meanwhile(refused)
            saved = await self._store(w, draft, wished, by)
            changed = {rules.setting_of(one.path) for one in values.differences(draft.values, wished)}
            return Saved(saved, frozenset(changed), tuple(touched.values()))

    async def change_in(
        self, w: Work, configuration_id: int, changes: Mapping[str, object], *, by: Account | None
    ) -> Draft:
        """Edit the draft as it stands, whoever edited it before. Raises BadInput with the setting."""
        configuration = await self.get_in(w, configuration_id, by, Right.CHANGE, for_update=True)
        draft = await self.draft_in(w, configuration)
        return await self._store(w, draft, rules.apply(draft.values, changes, ()), by)

    async def replace(
        self, configuration_id: int, wished: Mapping[str, Any], *, base_revision: int, by: Account
    ) -> Saved:
        """Make the whole draft what an imported file says."""
        async with self._locked(configuration_id, by) as (w, configuration):
            _check_revision(configuration, base_revision)
            draft = await self.draft_in(w, configuration)
            saved = await self._store(w, draft, values.completed(wished), by)
            await self._record(w, configuration, by, "configuration_imported")
            changed = {rules.setting_of(one.path) for one in values.differences(draft.values, saved.values)}
            return Saved(saved, frozenset(changed), ())

    async def undo(self, configuration_id: int, *, base_revision: int, by: Account) -> Draft:
        """Make the draft what the newest version says. Refused when there is none, or somebody changed it meanwhile."""
        async with self._locked(configuration_id, by) as (w, configuration):
            _check_revision(configuration, base_revision)
            draft = await self.draft_in(w, configuration)
            if draft.published is None:
                raise Refused("never_published", "There is no version to go back to; publish one first.")
            saved = await self._store(w, draft, draft.published, by)
            await queries.close_changes(w.db, configuration.id, TAKEN_BACK)
            await self._record(w, configuration, by, "configuration_undone")
            return saved

    async def publish(
        self, configuration_id: int, *, base_revision: int, by: Account | None, note: str = ""
    ) -> Version:
        """Make the draft the next version. Refused while something is wrong in it, or when nothing is new."""
        async with self._work() as w:
            configuration = await self.get_in(w, configuration_id, by, Right.CHANGE, for_update=True)
            _check_revision(configuration, base_revision)
            wrong = rules.note_problems(note)
            if wrong:
                raise Invalid(*wrong)
            return await self.publish_in(w, configuration, by=by, note=note)

    async def publish_in(
        self, w: Work, configuration: Configuration, *, by: Account | None, note: str = ""
    ) -> Version:
        draft = await self.draft_in(w, configuration)
        rules.may_publish(draft.values, draft.published)
        settings = values.to_settings(draft.values)
        now = self._clock.now()
        version = Version(
            number=(configuration.published_version or 0) + 1,
            published_at=now,
            published_by="server" if by is None else by.username,
            config_key=config_key(settings),
            note=note.strip(),
        )
        await queries.add_version(
            w.db,
            configuration_id=configuration.id,
            number=version.number,
            values=draft.values,
            settings=plist.write(settings),
            config_key=version.config_key,
            note=version.note,
            published_at=to_ms(now),
            published_by=version.published_by,
        )
        await queries.update_configuration(w.db, configuration.id, published_version=version.number)
        await queries.close_changes(w.db, configuration.id, version.number)
        changed: list[str] = []
        if draft.published is not None:
            changed = [one.path for one in values.differences(draft.published, draft.values)][:100]
        await self._record(
            w, configuration, by, "configuration_published", version=version.number, settings=changed
        )
        await self.when_published(w, configuration.id, version.number)
        return version

    async def _store(self, w: Work, draft: Draft, wished: Mapping[str, Any], by: Account | None) -> Draft:
        """Write the draft and its history; a wish that changes nothing leaves no trace."""
        found = values.differences(draft.values, wished)
        is_other = (
            draft.values != wished
        )  # a password replaced by another is one, and its difference says so too
        if not found and not is_other:
            return draft
        now = self._clock.now()
        configuration = draft.configuration
        revision = configuration.draft_revision + 1
        rows: list[dict[str, Any]] = []
        for one in found:
            before, after = _plain(one.before), _plain(one.after)
            own = None
            if "[" not in one.path:
                since = to_ms(now - ONE_EDIT)
                user_id = None if by is None else by.id
                own = await queries.open_change(
                    w.db, configuration.id, one.path, user_id=user_id, after=since
                )
            if own is not None:
                await queries.extend_change(w.db, own[0], at=to_ms(now), value=after, draft_revision=revision)
                continue
            rows.append({
                "configuration_id": configuration.id, "at": to_ms(now), "user_id": None if by is None else by.id,
                "actor": "server" if by is None else by.username, "path": one.path[:255], "before": before,
                "after": after, "draft_revision": revision, "version": None,
            })  # fmt: skip
        await queries.add_changes(w.db, rows)
        await queries.update_configuration(
            w.db, configuration.id, draft=dict(wished), draft_revision=revision, changed_at=to_ms(now)
        )
        if draft.published == wished:
            await queries.close_changes(w.db, configuration.id, TAKEN_BACK)
        if rows:
            paths = [row["path"] for row in rows]
            await self._record(w, configuration, by, "configuration_edited", settings=paths[:100])
        return replace(
            draft,
            configuration=replace(configuration, draft_revision=revision, changed_at=now),
            values=dict(wished),
        )

    # --- the past ---

    async def versions(self, configuration_id: int, by: Account) -> list[Version]:
        """Newest first."""
        async with self._reading() as w:
            await self.get_in(w, configuration_id, by, Right.SEE)
            return await queries.versions_of(w.db, configuration_id)

    async def values_at(
        self, configuration_id: int, number: int | None, by: Account | None
    ) -> tuple[Version | None, dict[str, Any]]:
        """The values of a version; of the draft for None. Raises NotFound."""
        async with self._reading() as w:
            configuration = await self.get_in(w, configuration_id, by, Right.SEE)
            if number is None:
                return None, values.completed(await queries.draft_values(w.db, configuration.id))
            found = await queries.version_values(w.db, configuration.id, number)
        if found is None:
            raise NotFound(f"This configuration has no version {number}.")
        return found[0], values.completed(found[1])

    async def history(
        self, configuration_id: int, by: Account, *, search: str = "", offset: int, limit: int
    ) -> tuple[list[Change], int]:
        """Who changed what from what to what, newest first."""
        async with self._reading() as w:
            await self.get_in(w, configuration_id, by, Right.SEE)
            return await queries.change_page(
                w.db, configuration_id, search=search, offset=offset, limit=limit
            )

    async def changed_since(self, configuration_id: int, revision: int, by: Account) -> Saved:
        """What others made of the draft since a revision: what an open editor asks every few seconds."""
        async with self._reading() as w:
            configuration = await self.get_in(w, configuration_id, by, Right.SEE)
            draft = await self.draft_in(w, configuration)
            newer = await queries.changes_since(w.db, configuration.id, revision)
        touched = rules.touched_by_others(newer)
        return Saved(draft, frozenset(touched), tuple(touched.values()))

    async def exported(self, configuration_id: int, *, by: Account, form: str, version: int | None) -> None:
        """Note that a file was handed out."""
        async with self._work() as w:
            configuration = await self.get_in(w, configuration_id, by, Right.CHANGE)
            await self._record(w, configuration, by, "configuration_exported", form=form, version=version)

    # --- within ---

    @asynccontextmanager
    async def _locked(self, configuration_id: int, by: Account) -> AsyncGenerator[tuple[Work, Configuration]]:
        """The configuration in a transaction of its own, nobody else changing it."""
        async with self._work() as w:
            yield w, await self.get_in(w, configuration_id, by, Right.CHANGE, for_update=True)

    async def _record(
        self, w: Work, configuration: Configuration, by: Account | None, deed: str, **detail: Any
    ) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=configuration.institution_id,
            detail={"configuration": configuration.name, "configuration_id": configuration.id, **detail},
        )


def _name_taken(name: str) -> Problem:
    return Problem(
        "name",
        "configuration_name_taken",
        f"There is another configuration called “{name.strip()}”. Choose another name.",
        {"name": name.strip()},
    )


def _check_revision(configuration: Configuration, base_revision: int) -> None:
    if configuration.draft_revision != base_revision:
        raise Refused(
            CHANGED_MEANWHILE,
            "Somebody changed this configuration meanwhile. Look at what is new, then do it again.",
        )


def _plain(value: Any) -> Any:
    """A difference's value as JSON; rows of tables lose what only shows."""
    return value.value if isinstance(value, values.Hidden) else value
