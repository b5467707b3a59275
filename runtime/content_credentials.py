"""Sign a photo's file with a C2PA manifest (content credentials), with the key of whoever restores it.

The manifest is written by c2pa-python, the library of the standard's authors; the extra `c2pa` installs it.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from base.command_line import needs_extra
from base.errors import PhotoError, SettingsError
from base.text import cause_of, one_line
from runtime.photo.history import ALTERED

LARGEST_KEY = 1 << 16
"""Size limit in bytes of a key or a chain of certificates."""

_TYPES = dict.fromkeys((".jfif", ".jpe", ".jpeg", ".jpg"), "image/jpeg")
_TYPES |= {".png": "image/png", ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff"}
MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff"}
MIME |= {"GIF": "image/gif", "HEIF": "image/heif", "AVIF": "image/avif"}
"""By Pillow's name, the formats of photos that a manifest can refer to."""
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}  # they would show faces again, and 100 KB more


@dataclass(frozen=True)
class SigningKey:
    """A key that has signed a trial picture."""

    key: bytes = field(repr=False)
    """PEM."""
    certificates: bytes
    """PEM: the key's certificate, then those that vouch for it."""
    algorithm: str

    def sign(
        self, data: bytes, suffix: str, manifest: dict[str, Any], parent: tuple[bytes, str] | None = None
    ) -> bytes:
        """Return a file's bytes with a signed manifest.

        suffix    of the file, with its dot
        manifest  the claims, as C2PA's JSON
        parent    the bytes of the photo that the file was made of, and Pillow's name of their format

        Raises PhotoError if the format has no place for a manifest, or signing fails.
        """
        if suffix not in _TYPES:
            raise PhotoError(
                f"{suffix[1:].upper()} has no place for a signed manifest: write JPEG, PNG, WebP or TIFF, or "
                "leave out --sign"
            )
        import c2pa

        try:
            with c2pa.Context.from_dict(_SETTINGS) as context:
                info = c2pa.C2paSignerInfo(self.algorithm, self.certificates, self.key, None)
                with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest, context) as builder:
                    if parent:
                        ingredient = {"title": "photo", "relationship": "parentOf", "label": "photo"}
                        builder.add_ingredient(ingredient, MIME[parent[1]], io.BytesIO(parent[0]))
                    signed = io.BytesIO()
                    builder.sign(signer, _TYPES[suffix], io.BytesIO(data), signed)
                    return signed.getvalue()
        except c2pa.C2paError as error:
            raise PhotoError(f"the result cannot be signed: {cause_of(error)}") from error


def open_key(key: Path, certificates: Path) -> SigningKey:
    """Read a private key and its chain of certificates, both PEM, and sign a trial picture with them.

    Raises SettingsError if they cannot be read or used, and GpenEdgeError without the extra `c2pa`.
    """
    with needs_extra("c2pa", "--sign"):
        import c2pa
    pem, algorithm = _private_key(_read(key, "key"), key)
    chain = _read(certificates, "chain of certificates")
    _check_pair(pem, chain, key, certificates)
    opened = SigningKey(pem, chain, algorithm)
    trial = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(trial, "PNG")
    try:
        signed = opened.sign(trial.getvalue(), ".png", manifest_of("trial", "0", {}))
        state = c2pa.Reader("image/png", io.BytesIO(signed)).get_validation_state()
    except (PhotoError, c2pa.C2paError) as error:
        raise SettingsError(
            f"{one_line(key)} and {one_line(certificates)} cannot sign: {cause_of(error.__cause__ or error)}"
        ) from error
    if state not in ("Valid", "Trusted"):
        raise SettingsError(
            f"what {one_line(key)} signs does not verify with {one_line(certificates)}: give the key's own "
            "certificate first, then those that vouch for it, none of them expired"
        )
    return opened


def manifest_of(
    software: str, version: str, parameters: dict[str, Any], *, parent: bool = False
) -> dict[str, Any]:
    """Return C2PA's manifest of a restored photo as JSON.

    parameters  how it was restored
    parent      whether the photo that it was made of will be an ingredient; without one, C2PA requires that
                the result counts as created
    """
    agent = {"name": software, "version": version}
    made = {
        "action": "c2pa.edited" if parent else "c2pa.created",
        "softwareAgent": agent,
        "digitalSourceType": ALTERED,
        "parameters": _without_bytes(parameters),
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["photo"]}}
    actions = {"actions": [opened, made] if parent else [made]}
    return {"claim_generator_info": [agent], "assertions": [{"label": "c2pa.actions.v2", "data": actions}]}


def _without_bytes(value: Any) -> Any:
    """Return JSON with lists of numbers as text: c2pa-python would store small whole ones as bytes."""
    if isinstance(value, dict):
        return {name: _without_bytes(each) for name, each in value.items()}
    if not isinstance(value, list | tuple):
        return value
    if value and all(isinstance(each, int) for each in value):
        return ",".join(map(str, value))
    return [_without_bytes(each) for each in value]


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_KEY)
    except OSError as error:
        raise SettingsError(f"the {what} {one_line(path)} cannot be read: {cause_of(error)}") from error
    if b"-----BEGIN" not in data:
        raise SettingsError(f"the {what} {one_line(path)} is not PEM text: convert it with openssl")
    return data


def _check_pair(pem: bytes, chain: bytes, key: Path, certificates: Path) -> None:
    """Raise SettingsError unless the first certificate of a chain is that of a private key, PEM both."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    try:
        first = load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise SettingsError(
            f"{one_line(certificates)} holds no certificate that can be read: {cause_of(error)}"
        ) from error
    if first.public_key() != load_pem_private_key(pem, None).public_key():
        raise SettingsError(
            f"the first certificate in {one_line(certificates)} is not that of the key {one_line(key)}: put "
            "the key's own certificate first, then those that vouch for it"
        )
    if first.issuer == first.subject:
        raise SettingsError(
            f"the certificate in {one_line(certificates)} is signed by its own key, which C2PA does not "
            "take: give one that an authority has signed (docs/photos.md makes one for trials)"
        )


def _private_key(pem: bytes, path: Path) -> tuple[bytes, str]:
    """Return a private key as PKCS #8, the only form that c2pa-python reads, and C2PA's name of its
    algorithm.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    if b"PRIVATE KEY-----" not in pem:
        raise SettingsError(
            f"{one_line(path)} holds no private key: --sign takes the key first, then its certificates"
        )
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise SettingsError(f"the key {one_line(path)} has a password: give one without") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"the key {one_line(path)} cannot be read: {cause_of(error)}") from error
    algorithm = ""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        algorithm = curves.get(key.curve.name, "")
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = "ed25519"
    elif isinstance(key, rsa.RSAPrivateKey):
        algorithm = "ps256"
    if not algorithm:
        raise SettingsError(
            f"C2PA does not sign with keys such as {one_line(path)}: use P-256, P-384, P-521, Ed25519 or RSA"
        )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), algorithm
