"""The admin page: from this machine only, behind a password without a default, and free of scripts."""

import base64
import binascii
import hmac
import html

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from runtime.serve.errors import KioskError
from runtime.serve.http.guard import POLICY, is_loopback
from runtime.serve.http.kiosk import Kiosk, kiosk_of
from runtime.serve.http.limits import WRONG_PASSWORD

_POLICY = POLICY.replace("form-action 'none'", "form-action 'self'")
_ACTIONS = {
    "resume-printer": "Start the printer's queue again",
    "cancel-prints": "Cancel all prints",
    "delete-everything": "Delete everything of all customers now",
}
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_DANGEROUS = ("cancel-prints", "delete-everything")


async def admin_page(request: Request) -> Response:
    """Return the page, once the password is right."""
    kiosk = kiosk_of(request)
    if (refused := _refusal(request, kiosk)) is not None:
        return refused
    headers = {"content-security-policy": _POLICY}
    return Response(_page(kiosk), media_type="text/html; charset=utf-8", headers=headers)


async def admin_action(request: Request) -> Response:
    """Carry out the action of a button."""
    kiosk, action = kiosk_of(request), request.path_params["action"]
    if (refused := _refusal(request, kiosk)) is not None:
        return refused
    if action not in _ACTIONS:
        raise KioskError("not-found", "the admin page has no such button")
    kiosk.log("admin", f"admin: {_ACTIONS[action]}", action=action)
    if action == "delete-everything":
        await run_in_threadpool(kiosk.desk.end_all)
    if kiosk.printer and action != "resume-printer":
        kiosk.printer.cancel_all()
    elif kiosk.printer:
        kiosk.printer.resume()
    return RedirectResponse("/admin", 303)


ADMIN = (Route("/admin", admin_page), Route("/admin/{action}", admin_action, methods=["POST"]))


def _refusal(request: Request, kiosk: Kiosk) -> Response | None:
    """Return the response to somebody without access to the page. Raises KioskError."""
    if not _is_here(request):
        raise KioskError("forbidden", "the admin page is only for this machine: open it there")
    if kiosk.password is None:
        raise KioskError(
            "forbidden", "no password is set: name its file in kiosk.toml, [admin] password_file"
        )
    kiosk.limits.check(WRONG_PASSWORD)
    given = _password_in(request.headers.get("authorization", ""))
    if given is not None and hmac.compare_digest(given, kiosk.password.encode()):
        return None
    if given is not None:
        kiosk.limits.spend(WRONG_PASSWORD)
        kiosk.log("admin", "admin: a wrong password was given")
    return Response(
        "a password is needed", 401, {"www-authenticate": 'Basic realm="gpen-edge kiosk", charset="UTF-8"'}
    )


def _is_here(request: Request) -> bool:
    """Return whether the request comes from this machine itself, and not through a proxy."""
    is_passed_on = any(name in request.headers for name in _OF_PROXIES)
    return not is_passed_on and is_loopback(request.client)


def _password_in(header: str) -> bytes | None:
    """Return the password of HTTP's Basic authentication (RFC 7617), whatever the user's name."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _page(kiosk: Kiosk) -> str:
    health, counts = kiosk.health(), kiosk.desk.work.counts
    rows = {
        "State": f"{health.state} {health.message}",
        "Networks": health.backend,
        "Customers here": health.visits,
        "Photos waiting": health.queue,
        **{name.capitalize(): count for name, count in sorted(counts.items())},
    }
    if kiosk.printer:
        printer = kiosk.printer.about()
        rows["Printer"] = f"{printer.state} {printer.message}"
        rows["Prints waiting"] = printer.waiting
    lines = "".join(f"<tr><th>{_text(name)}<td>{_text(value)}" for name, value in rows.items())
    buttons = "".join(
        f'<form method="post" action="/admin/{name}">'
        f'<button class="{"danger" if name in _DANGEROUS else "plain"}">{_text(label)}</button></form>'
        for name, label in _ACTIONS.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>gpen-edge kiosk</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/page/style.css"><link rel="stylesheet" href="/page/admin.css">'
        f'<main class="admin"><h1>{_text(kiosk.config.name)}</h1>'
        f"<table>{lines}</table><div>{buttons}</div></main>"
    )


def _text(value: object) -> str:
    return html.escape(str(value))
