"""Print the numbered checks of the spec documents that no test carries.

The numbers of a document are those its tests could carry: known here as totals, because the documents themselves are
not part of this repository.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict

import pytest

TOTALS = {
    "seb-client-api": range(1, 62),
    "live-proctoring": range(1, 61),
}
"""Document → its checks."""


class Gather:
    """A pytest plugin that notes the marks of every test it collects."""

    def __init__(self) -> None:
        self.carried: defaultdict[str, set[int]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("spec"):
                document, *numbers = mark.args
                self.carried[document].update(numbers)


def main() -> int:
    gather = Gather()
    listing = io.StringIO()
    with contextlib.redirect_stdout(listing):
        status = pytest.main(
            ["--collect-only", "-qq", "-p", "no:xdist", "-p", "no:randomly"], plugins=[gather]
        )
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        print(listing.getvalue())
        return int(status)
    missing = {d: sorted(set(wanted) - gather.carried[d]) for d, wanted in TOTALS.items()}
    for document, numbers in missing.items():
        total = len(TOTALS[document])
        said = "every check has a test" if not numbers else "no test: " + ", ".join(map(str, numbers))
        print(f"{document}: {total - len(numbers)} of {total}; {said}")
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
