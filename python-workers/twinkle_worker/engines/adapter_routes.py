"""vLLM's two routes for LoRA adapters, for engines without vLLM: what is asked, and how it is answered. Knows no adapters.

POST /v1/load_lora_adapter    {"lora_name": …, "lora_path": …, "load_inplace": false}
POST /v1/unload_lora_adapter  {"lora_name": …}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..protocol import HttpParams, HttpPart
from .base import RequestError

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_FIELDS = {LOAD: ("lora_name", "lora_path", "load_inplace", "is_3d_lora_weight"), UNLOAD: ("lora_name",)}


@dataclass(frozen=True, slots=True)
class LoadAdapter:
    """in_place: a loaded adapter of that name gets the new weights; is_3d: the file keeps experts in tensors of three dimensions"""

    name: str
    path: str
    in_place: bool
    is_3d: bool


@dataclass(frozen=True, slots=True)
class UnloadAdapter:
    """Requests may not name it any more."""

    name: str


AdapterCommand = LoadAdapter | UnloadAdapter


class AdapterRefusal(Exception):
    """The command is not carried out, and everything is as before it.

    status: of the answer: 404 for an unload of what is not loaded, else 400; param: the field at fault
    """

    def __init__(self, message: str, param: str | None = "lora_path", status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


def parse_command(engine: str, params: HttpParams) -> AdapterCommand:
    """What is asked. Raises RequestError for a path that is none of the two, AdapterRefusal for a body that is wrong."""
    if params.path not in _FIELDS or params.method != "POST":
        raise RequestError("ROUTE_NOT_FOUND", f"engine {engine} has no route {params.method} {params.path}")
    try:
        body: Any = json.loads(params.body)
    except ValueError as error:
        raise AdapterRefusal(f"the body is not JSON: {error}", None) from error
    known = _FIELDS[params.path]
    if not isinstance(body, dict):
        raise AdapterRefusal(f"expected an object with {', '.join(known)} but received {body!r}", None)
    for field in body:
        if field not in known:
            raise AdapterRefusal(f"`{field}` is no field of {params.path}; known are {', '.join(known)}", field)
    name = _text(body, "lora_name")
    if params.path == UNLOAD:
        return UnloadAdapter(name)
    return LoadAdapter(name, _text(body, "lora_path"), _flag(body, "load_inplace"), _flag(body, "is_3d_lora_weight"))


def loaded_already(name: str) -> AdapterRefusal:
    """For a name that is taken, without ``load_inplace``."""
    return AdapterRefusal(
        f"the LoRA adapter `{name}` is loaded already; unload it first, or set load_inplace to replace its weights",
        "lora_name",
    )


def not_loaded(name: str) -> AdapterRefusal:
    """For an unload of a name that is not there."""
    return AdapterRefusal(f"the LoRA adapter `{name}` is not loaded", "lora_name", 404)


def unknown_adapter(name: str) -> RequestError:
    """For a generation that names an adapter that is not there."""
    return RequestError("MODEL_NOT_FOUND", f"The model `{name}` does not exist.", "model")


def answer(command: AdapterCommand) -> HttpPart:
    """The whole answer to a command that was carried out."""
    return done(command.name, "added" if isinstance(command, LoadAdapter) else "removed")


def done(name: str, what: str) -> HttpPart:
    """Success in vLLM's words. ``what``: added or removed."""
    text = f"Success: LoRA adapter '{name}' {what} successfully."
    return HttpPart(body=text.encode(), status=200, headers=[("content-type", "text/plain; charset=utf-8")])


def refusal(error: AdapterRefusal) -> HttpPart:
    """The whole answer to a command that was not, as OpenAI writes errors."""
    kind = "NotFoundError" if error.status == 404 else "BadRequestError"
    body = {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.status}}
    return HttpPart(body=json.dumps(body).encode(), status=error.status, headers=[("content-type", "application/json")])


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or value == "":
        raise AdapterRefusal(f"expected a text for `{field}` but received {value!r}", field)
    return value


def _flag(body: dict[str, Any], field: str) -> bool:
    value = body.get(field, False)
    if not isinstance(value, bool):
        raise AdapterRefusal(f"expected true or false for `{field}` but received {value!r}", field)
    return value
