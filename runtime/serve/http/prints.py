"""Routes for printing."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from runtime.serve.errors import KioskError
from runtime.serve.http.guard import json_response
from runtime.serve.http.kiosk import kiosk_of, visit_of
from runtime.serve.http.pictures import jpeg_response
from runtime.serve.http.routes import Api, json_of, size_of
from runtime.serve.printing.printer import Printer
from runtime.serve.wire import PrinterAbout, PrintWanted, Status


async def printer_status(request: Request) -> Response:
    """Return the state of the printer."""
    printer = kiosk_of(request).printer
    return json_response(printer.about() if printer else PrinterAbout("none", "there is no printer", 0))


async def preview(request: Request) -> Response:
    """Show what lands on a paper."""
    printer, visit = _printer_of(request), visit_of(request)
    paper, size = request.query_params.get("paper", ""), size_of(request) or 800
    return jpeg_response(await run_in_threadpool(printer.preview, visit, paper, size))


async def add(request: Request) -> Response:
    """Print the result."""
    printer, visit = _printer_of(request), visit_of(request)
    wanted = await json_of(request, PrintWanted)
    await run_in_threadpool(printer.add, visit, wanted.paper, wanted.copies)
    return json_response(kiosk_of(request).desk.status(visit), 201)


async def again(request: Request) -> Response:
    """Print once more."""
    printer, visit = _printer_of(request), visit_of(request)
    await run_in_threadpool(printer.again, visit, request.path_params["print"])
    return json_response(kiosk_of(request).desk.status(visit), 201)


async def cancel(request: Request) -> Response:
    """Cancel a print."""
    printer, visit = _printer_of(request), visit_of(request)
    printer.cancel(visit, request.path_params["print"])
    return json_response(kiosk_of(request).desk.status(visit))


def _printer_of(request: Request) -> Printer:
    printer = kiosk_of(request).printer
    if printer is None:
        raise KioskError("no-printer", "no printer is set up here: add [printing] to kiosk.toml")
    return printer


_V = "/api/visits/{visit}"

PRINTS = (
    Api("GET", "/api/printer", "The state of the printer", printer_status, PrinterAbout),
    Api(
        *("GET", f"{_V}/print-preview", "What lands on a paper", preview, "image/jpeg"),
        query=("paper", "size"),
        errors=("wrong-state", "no-printer"),
    ),
    Api(
        *("POST", f"{_V}/prints", "Print the result", add, Status, 201, PrintWanted),
        errors=("wrong-state", "no-printer", "bad-request"),
    ),
    Api(
        *("POST", f"{_V}/prints/{{print}}/again", "Print once more", again, Status, 201),
        errors=("wrong-state", "not-found"),
    ),
    Api(
        *("DELETE", f"{_V}/prints/{{print}}", "Cancel a print", cancel, Status),
        errors=("wrong-state", "not-found"),
    ),
)
