"""Bodies that vLLM answers with 500 although the client is at fault: its request classes stumble over a field, or it cannot load an image.

Knows FastAPI only; what a handler raises otherwise is left alone.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import aiohttp
from fastapi.responses import JSONResponse

STUMBLES = (AttributeError, LookupError, RuntimeError, OSError, aiohttp.ClientError)
"""What is raised then; for others vLLM has handlers of its own."""

_AT_FAULT = {
    "request_body_to_args": "a field of the body is not of the type that it should be",
    "load_from_url_async": "the media of the request cannot be loaded",
}
"""Functions, FastAPI's that reads a body and vLLM's that loads media: whatever goes wrong inside is the request's fault."""


async def answer_unreadable(request: Any, error: Exception) -> JSONResponse:
    """400 in OpenAI's form for an error of such a body; raises any other again, for the handlers that come next."""
    words = _fault(error.__traceback__)
    if words is None:
        raise error
    return JSONResponse(
        {"error": {"message": f"{words}: {error}", "type": "BadRequestError", "param": None, "code": 400}},
        status_code=400,
    )


def _fault(trace: TracebackType | None) -> str | None:
    while trace is not None:
        words = _AT_FAULT.get(trace.tb_frame.f_code.co_name)
        if words is not None:
            return words
        trace = trace.tb_next
    return None
