"""`invigilo serve` at a meeting service that is not there: clients are called in by instruction, as many at once as come.

How fast a real service's meeting lets clients in is the service's affair (two a second into one room of Jitsi); here the
server's own part is measured.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from invigilo import app
from invigilo.exams.model import Exam
from invigilo.providers.base import CALLS, Feature
from invigilo.settings import Settings
from invigilo.simulate.stand_in import StandInService

_SERVICE = StandInService(features=frozenset({Feature.NATIVE_JOIN, Feature.TAKES_ALL_AT_ONCE, *CALLS}))


def _service_of(_exam: Exam) -> StandInService:
    return _SERVICE


if __name__ == "__main__":
    app.build = partial(app.build, providers=_service_of)
    settings = Settings(port=int(sys.argv[1]), data_dir=Path(sys.argv[2]), log_level="warning")
    sys.exit(app.serve(None, settings))
