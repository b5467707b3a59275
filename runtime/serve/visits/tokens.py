"""Tokens that nobody can guess. Whoever has one may do what it is for; only its digest is stored."""

import hashlib
import re
import secrets

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


def new_token() -> str:
    """Return 128 random bits as 22 characters that are safe in a URL."""
    return secrets.token_urlsafe(16)


def digest(token: str) -> str:
    """Return the name under which a token is known here: 32 hexadecimal digits.

    It is also the name of the customer's folder, so no path from outside is ever used. Text that is no token
    has a digest that nothing is stored under.
    """
    if not _TOKEN.fullmatch(token):
        return ""
    return hashlib.sha256(token.encode()).hexdigest()[:32]
