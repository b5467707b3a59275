"""The description of the API, made from the table of routes and the types of its JSON."""

import html
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from base.version import installed_version
from runtime.serve.errors import STATUS
from runtime.serve.http.guard import json_response
from runtime.serve.http.routes import Api, Handler
from runtime.serve.wire import ErrorAnswer

_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
_REF = "#/components/schemas/{name}"
_QUERY = {
    "size": ({"type": "integer", "minimum": 64, "maximum": 4096}, "The longest side in pixels."),
    "strength": ({"type": "number", "minimum": 0, "maximum": 1}, "0 is the photo, 1 the preset's result."),
    "leave_out": ({"type": "string"}, "Numbers of faces that keep the photo's pixels, such as 0,2."),
    "preset": ({"type": "string"}, "A preset that is offered."),
    "page": ({"type": "integer", "minimum": 0}, "From 0."),
    "keep": ({"type": "string", "enum": ["take-home"]}, "Keep a link to take the result home."),
    "paper": ({"type": "string"}, "A paper that is offered."),
}


def openapi(rows: Iterable[Api]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of some routes."""
    rows = list(rows)
    types = [kind for row in rows for kind in (row.answer, row.body) if isinstance(kind, type)]
    unique = list(dict.fromkeys([*types, ErrorAnswer]))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    of_type = dict(zip(unique, schemas, strict=True))
    paths: dict[str, Any] = {}
    for row in rows:
        paths.setdefault(_plain(row.path), {})[row.method.lower()] = _operation(row, of_type)
    info = {"title": "gpen-edge kiosk", "version": installed_version()}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": components}}


def openapi_json(rows: Iterable[Api]) -> Handler:
    """Return the route that serves the description."""
    described = openapi(rows)

    async def answer(request: Request) -> Response:
        return json_response(described)

    return answer


def api_page(rows: Iterable[Api]) -> Callable[[Request], Awaitable[Response]]:
    """Return the route that serves a page for people, without a script."""
    lines = "".join(map(_line, rows))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>API of the kiosk</title>'
        "<h1>API of the kiosk</h1><p>For programs: <a href='/api/openapi.json'>/api/openapi.json</a> "
        "(OpenAPI 3.1). Errors are <code>{&quot;error&quot;: {&quot;code&quot;, &quot;message&quot;}}</code>."
        f"<table border='1' cellpadding='6'>{lines}</table>"
    )

    async def answer(request: Request) -> Response:
        return Response(page, media_type="text/html; charset=utf-8")

    return answer


def _line(row: Api) -> str:
    path = _plain(row.path) + (f"?{'&'.join(row.query)}" if row.query else "")
    answer = row.answer.__name__ if isinstance(row.answer, type) else row.answer or "nothing"
    cells = (row.method, path, row.summary, f"{row.status} {answer}", ", ".join(row.errors))
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _operation(row: Api, of_type: dict[type, Any]) -> dict[str, Any]:
    answer = {"description": row.summary, **_content(row.answer, of_type)}
    errors = {
        str(STATUS[code]): {"description": code, **_content(ErrorAnswer, of_type)} for code in row.errors
    }
    operation: dict[str, Any] = {"summary": row.summary, "responses": {str(row.status): answer, **errors}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(row.path)
    ]
    for name in row.query:
        schema, about = _QUERY[name]
        parameters.append({"name": name, "in": "query", "schema": schema, "description": about})
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = {"required": True, **_content(row.body, of_type)}
    return operation


def _content(kind: type | str | None, of_type: dict[type, Any]) -> dict[str, Any]:
    if kind is None:
        return {}
    if isinstance(kind, str):
        return {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}
    return {"content": {"application/json": {"schema": of_type[kind]}}}


def _plain(path: str) -> str:
    return _PARAMETER.sub(r"{\1}", path)
