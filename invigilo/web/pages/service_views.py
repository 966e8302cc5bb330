"""From service definitions and descriptions to what pages show of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from invigilo.clock import to_ms
from invigilo.exams.model import Service
from invigilo.proctoring.model import ServiceDefinition
from invigilo.web.forms.form import Form
from invigilo.web.pages.views_proctoring import (
    FieldView,
    HostRow,
    HostsView,
    KindView,
    ProofView,
    ReportsView,
)
from invigilo.web.parts import Site
from invigilo.web.proof_view import step_view


def kind_view(
    site: Site,
    language: str,
    service: Service,
    *,
    prefix: str = "",
    definition: ServiceDefinition | None = None,
    is_locked: bool = False,
) -> KindView:
    """A kind of service with its fields; `prefix` keeps those of several kinds apart in one form.

    One that is stored but not offered here (any more) has no fields: it can be looked at and deleted.
    """
    description = site.services.description(service)

    def say(key: str) -> str:
        text = site.renderer.catalogue.text(language, key)
        return "" if text == key else text

    secrets = {} if definition is None else definition.secrets
    own = f"service.{service.value}"
    return KindView(
        service=service.value,
        title=say(f"{own}.title"),
        help=say(f"{own}.help"),
        isolates="isolates_candidates" in description.features,
        native=service in site.services.choices.native,
        cannot=tuple(say(f"service.cannot.{one}") for one in description.cannot),
        needs_entry=bool(description.needs_entry),
        fields=tuple(
            FieldView(
                input=prefix + one.name,
                kind=one.kind.value,
                label=say(f"{own}.{one.name}") or one.name,
                help=say(f"{own}.{one.name}.help"),
                is_required=one.is_required,
                choices=tuple((choice, choice) for choice in one.choices),
                default=one.default,
                since=to_ms(secrets[one.name]) if one.name in secrets else None,
                is_rare=one.is_rare or (one.kind.value == "text" and not one.is_required),
                is_locked=is_locked and one.is_identity,
            )
            for one in description.fields
        ),
    )


def proof_view(site: Site, language: str, definition: ServiceDefinition) -> ProofView:
    entered = None if definition.entered_at is None else to_ms(definition.entered_at)
    if definition.proved_at is None:
        return ProofView("none", entered_at=entered)
    return ProofView(
        state="ok" if definition.is_proven else "failed",
        at=to_ms(definition.proved_at),
        steps=tuple(step_view(site.renderer, language, one) for one in definition.proof),
        entered_at=entered,
    )


def reports_view(site: Site, definition: ServiceDefinition, base_url: str) -> ReportsView | None:
    """Where the service is to send its reports, and what has come; None for a service that sends none."""
    description = site.services.description(definition.service)
    if description.field("events_secret") is None:
        return None
    line = site.meetings.report_line(definition.id)
    return ReportsView(
        address=f"{base_url}/hooks/{definition.id}",
        has_secret="events_secret" in definition.secrets,
        last_at=line.last_at,
        refused=line.refused,
        needs_https=definition.service in {Service.JAAS, Service.ZOOM}
        and not base_url.startswith("https://"),
    )


def hosts_view(site: Site, language: str, definition: ServiceDefinition) -> HostsView | None:
    """A service's hosts and what each has left; None for a service that has none."""
    found = site.meetings.hosts_of(definition.id)
    if found is None:
        return None
    hosts, leftovers = found
    say = site.renderer.catalogue.text
    rows = [
        HostRow(
            name=one.name,
            live=f"{one.live}/{one.most}",
            today=f"{one.creations}/{one.creations_most}",
            tone="warning" if one.blocked_until else ("info" if one.live >= one.most else "ok"),
            blocked_until=one.blocked_until,
            reason=say(language, f"services.hosts.reason.{one.reason}") if one.reason else "",
            is_taken=one.live >= one.most,
        )
        for one in hosts
    ]
    return HostsView(tuple(rows), leftovers)


def typed_values(form: Form, kind: KindView) -> dict[str, str]:
    """What was typed into a service's fields, by the description's own names."""
    prefix = kind.service + "." if kind.fields and "." in kind.fields[0].input else ""
    return {
        one.input.removeprefix(prefix): form.text(one.input) for one in kind.fields if one.input in form.data
    }


def shown_again(form: Form, kinds: Iterable[KindView]) -> Mapping[str, object]:
    """What was typed, to be shown again; secrets are typed anew."""
    secret = {one.input for kind in kinds for one in kind.fields if one.kind.startswith("secret")}
    return {
        name: values if len(values) > 1 else values[0]
        for name, values in form.lists.items()
        if name not in secret
    }
