"""The server process of `make ui`: MLflow's own web application, alone in one process and without its assistant.

`mlflow server` would be two processes of 250 MB each that import MLflow one after the other, and opens an assistant
over a third of the page, whose back end runs commands on the machine. Run by mlflow_view.py, which sets the
environment that MLflow's application reads as it is imported: `python -m scoring.mlflow_app HOST PORT`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import mlflow.server
import uvicorn
from mlflow.server.fastapi_app import app as mlflow_app
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

_INDEX = Path(mlflow.server.__file__).parent / "js" / "build" / "index.html"
# What the frontend remembers of an earlier visit: that the assistant was shown already, and that this is about
# training runs and not about language models. A viewer's own choices stay.
_REMEMBERED = """<script>
for (const [key, value] of [["mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true"],
                            ["mlflow.workflowType_v1", '"machine_learning"']])
  if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
</script>"""
_HEADERS = {"X-Frame-Options": "SAMEORIGIN", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """MLflow's application, save for its first page and its assistant."""
    path = scope.get("path", "")
    if scope["type"] == "http" and "/mlflow/assistant" in path:
        await PlainTextResponse("MLflow's assistant is off here.", 404)(scope, receive, send)
    elif scope["type"] == "http" and path == "/":
        page = _INDEX.read_text().replace("<head>", f"<head>{_REMEMBERED}", 1)
        await HTMLResponse(page, headers=_HEADERS)(scope, receive, send)
    else:
        await mlflow_app(scope, receive, send)


def _stop_with_parent() -> None:
    """Waits for the end of standard input: the viewer's process holds the other end, and may be killed."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    uvicorn.run(app, host=sys.argv[1], port=int(sys.argv[2]), log_level="warning")
