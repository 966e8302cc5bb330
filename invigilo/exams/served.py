"""What the clients of an exam load: what was edited, the exam's quit password, and what our page needs.

The file is computed whenever one of these changes, stored with its Config Key, and numbered: the same bytes for every
client of a revision. Where clients may join a meeting by themselves the file differs by platform, in one switch: it is
turned when the file is handed out, because macOS ends the session when it is on (seb-client-api.md §8 Q20).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invigilo.exams import rules
from invigilo.exams.model import Exam, ProctoringSettings
from invigilo.sebconfig import catalogue, plist, values
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.connection_file import password_hash
from invigilo.sebconfig.exam_settings import (
    NATIVE_PLATFORMS,
    KeyChange,
    Platform,
    camera_problems,
    exam_settings_bytes,
    served_settings,
    what_would_change,
)
from invigilo.sebconfig.plist import Settings
from invigilo.storage.queries import exam_office as queries
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import Work, WorkFactory


@dataclass(frozen=True, slots=True)
class Served:
    """A file for clients, and the key they compute from it."""

    settings: bytes
    config_key: str


def edited_settings(edited: Mapping[str, Any] | None, quit_password: str | None) -> Settings:
    """The settings before our page's needs: of a version's values (None: the defaults) and the exam's quit password."""
    settings = catalogue.exported_defaults()
    if edited is not None:
        settings = values.to_settings(values.completed(edited))
    if quit_password:
        settings["hashedQuitPassword"] = password_hash(quit_password)
    return settings


def serve(
    edited: Mapping[str, Any] | None, *, quit_password: str | None, proctoring: ProctoringSettings
) -> Served:
    """The file of an exam, as clients get it that join nothing by themselves."""
    served = served_settings(
        edited_settings(edited, quit_password),
        camera_page=rules.uses_page(proctoring),
        native_join=rules.joins_natively(proctoring),
    )
    return Served(exam_settings_bytes(served), config_key(served))


def for_platform(stored: bytes, platform: Platform | None) -> Served:
    """The stored file as a client of this platform gets it where clients may join by themselves."""
    settings = plist.read(stored)
    settings["jitsiMeetEnable"] = platform in NATIVE_PLATFORMS
    return Served(exam_settings_bytes(settings), config_key(settings))


def for_zoom(stored: bytes) -> Served:
    """The stored file as those few releases get it that join a meeting at Zoom by themselves: later ones of the same
    system would end the session over this switch (zoom.md §6.2).
    """
    settings = plist.read(stored)
    settings["zoomEnable"] = True
    return Served(exam_settings_bytes(settings), config_key(settings))


def changes_for_page(edited: Mapping[str, Any] | None, proctoring: ProctoringSettings) -> list[KeyChange]:
    """The keys that clients get otherwise than edited because the exam is proctored, for people to see beforehand."""
    if not rules.uses_page(proctoring):
        return []
    return what_would_change(
        edited_settings(edited, None), camera_page=True, native_join=rules.joins_natively(proctoring)
    )


def camera_problems_of(stored: bytes | None, proctoring: ProctoringSettings) -> int:
    """How many keys of a stored file keep our page from its work; 0 when nobody opens it, or there is no file yet."""
    if stored is None or not rules.uses_page(proctoring):
        return 0
    return len(camera_problems(plist.read(stored)))


def new_configuration(edited: Mapping[str, Any]) -> tuple[dict[str, Any], bytes, str]:
    """A configuration that starts with these values: they made whole, its first version's file and Config Key."""
    whole = values.completed(edited)
    settings = values.to_settings(whole)
    return whole, exam_settings_bytes(settings), config_key(settings)


async def values_of(w: Work, configuration_id: int | None, version: int | None) -> dict[str, Any] | None:
    """What was edited; None where nothing is assigned or nothing was published."""
    if configuration_id is None or version is None:
        return None
    return await queries.version_values(w.db, configuration_id, version)


async def serve_again(w: Work, exam: Exam, quit_password: str | None) -> bool:
    """Compute the file anew within the change that asks for it; True when clients get another one from now on."""
    edited = await values_of(w, exam.configuration_id, exam.configuration_version)
    made = serve(edited, quit_password=quit_password, proctoring=exam.proctoring)
    stored = await queries.served_file(w.db, exam.id)
    if stored is not None and stored[0] == made.settings:
        return False
    await queries.store_served_file(w.db, exam.id, made.settings, made.config_key)
    return True


class ServedFiles:
    """The files as they are handed out, each made once and kept until the exam has another revision."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory) -> None:
        self._work = work
        self._reading = reading
        self._files: dict[int, tuple[int, dict[Platform | None, bytes]]] = {}
        """By exam: the revision, and its bytes by platform; None is every platform."""

    async def of(self, exam: Exam, platform: Platform | None, *, can_join_zoom: bool = False) -> bytes:
        """The exam's file for a client of this platform (None: not known)."""
        at_zoom = rules.joins_zoom(exam.proctoring)
        if at_zoom and not can_join_zoom:
            platform = None
        variant = platform if rules.joins_natively(exam.proctoring) else None
        revision, files = self._files.get(exam.id, (-1, {}))
        if revision == exam.settings_revision and variant in files:
            return files[variant]
        stored, revision = await self._stored(exam)
        known, files = self._files.get(exam.id, (-1, {}))
        if known != revision:
            files = {}
            self._files[exam.id] = (revision, files)
        made = for_zoom(stored) if at_zoom else for_platform(stored, variant)
        files[variant] = stored if variant is None else made.settings
        return files[variant]

    async def _stored(self, exam: Exam) -> tuple[bytes, int]:
        async with self._reading() as w:
            found = await queries.served_file(w.db, exam.id)
        if found is not None:
            return found
        async with self._work() as w:  # set up without a file: the first client to ask has it made
            made = serve(None, quit_password=None, proctoring=exam.proctoring)
            await exam_queries.store_settings(w.db, exam.id, made.settings, made.config_key)
            found = await queries.served_file(w.db, exam.id)
        assert found is not None
        return found
