"""The server to compare with: it answers 204 and does nothing else.

It goes through `invigilo.app.run`, so that uvicorn has the same options by construction, and does not even read the body:
no server in Python under uvicorn can do less.
"""

from __future__ import annotations

import sys
from typing import Any

from invigilo import app
from invigilo.settings import Settings


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _build(_settings: Settings) -> Any:
    return bare


if __name__ == "__main__":
    app.build = _build
    sys.exit(app.serve(None, Settings(port=int(sys.argv[1]))))
