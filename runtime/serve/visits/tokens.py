"""Unguessable tokens. A token grants what it was made for; only its digest is stored."""

import hashlib
import re
import secrets

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


def new_token() -> str:
    """Return 128 random bits as 22 characters that are safe in a URL."""
    return secrets.token_urlsafe(16)


def digest(token: str) -> str:
    """Return the digest of a token: 32 hexadecimal digits.

    It is also the name of the customer's folder, so no path from outside is ever used. Nothing is stored
    under the digest of any other text.
    """
    if not _TOKEN.fullmatch(token):
        return ""
    return hashlib.sha256(token.encode()).hexdigest()[:32]
