"""The record: whoever administers or audits reads that of their institution."""

from __future__ import annotations

from tests.web.rights.people import READERS

RULES = {
    ("GET", "/activity"): READERS,
    ("GET", "/activity.csv"): READERS,
    ("GET", "/api/v1/activity"): READERS,
    ("GET", "/api/v1/activity.csv"): READERS,
}
