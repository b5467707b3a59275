"""What was done is written into the photo, and is verified with the libraries' own readers."""

import io
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image, ImageFilter

from base.errors import SettingsError
from base.files import sha256
from runtime.content_credentials import open_key
from runtime.photo.history import ALTERED, RDF, Event, with_history
from runtime.pixels import Pixels
from runtime.restore import main

pytestmark = pytest.mark.usefixtures("any_colours")

EVENT = Event("gpen-edge 1", "2026-11-27T00:00:00+00:00", '{"a":"<&\\">"}')
OTHER = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="uuid:7" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="Anna &amp; Otto"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>
</rdf:RDF></x:xmpmeta>"""


def pem_pair(
    folder: Path,
    *,
    days: int = 20000,
    self_signed: bool = False,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> tuple[Path, Path]:
    """Write a key, and the certificate of it that an authority signed, valid for so many days."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    if self_signed:
        authority = key

    def certificate(subject: str, public: ec.EllipticCurvePublicKey, *, ca: bool) -> bytes:
        def name(common: str) -> x509.Name:
            names = ((NameOID.ORGANIZATION_NAME, "Test"), (NameOID.COMMON_NAME, common))
            return x509.Name([x509.NameAttribute(*each) for each in names])

        start = datetime(2026, 1, 1)
        never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        usage = dict.fromkeys((*never, "encipher_only", "decipher_only"), False)
        made = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
            )
        )
        if not ca:
            uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            made = made.add_extension(uses, critical=False)
        return made.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    key_file, chain = folder / "key.pem", folder / "chain.pem"
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    chain.write_bytes(
        certificate("authority" if self_signed else "signer", key.public_key(), ca=False)
        + certificate("authority", authority.public_key(), ca=True)
    )
    return key_file, chain


def history(path: Path) -> list[dict[str, str]]:
    """Return the events in a file's XMP."""
    with Image.open(path) as image:
        image.load()
        xmp = image.info["xmp"]
    rdf, mm = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}", "{http://ns.adobe.com/xap/1.0/mm/}"
    packet = ElementTree.fromstring(xmp.decode().strip("\0 \n"))
    events = packet.findall(f".//{rdf}Description/{mm}History/{rdf}Seq/{rdf}li")
    return [{child.tag.split("}")[1]: child.text or "" for child in event} for event in events]


@pytest.fixture
def photo(portrait: Pixels, tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"  # blurred, since a sharp face stays as it is
    Image.fromarray(portrait).filter(ImageFilter.GaussianBlur(2)).save(path, quality=95, xmp=OTHER)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_history_says_what_was_done(tiny_package: Path, photo: Path, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    arguments = [str(photo), "-o", str(out), "--model", str(tiny_package), "--provenance"]
    assert main([*arguments, "--preset", "classic", "--strength", "0.5"]) == 0
    (event,) = history(out)
    assert event["softwareAgent"].startswith("gpen-edge ")
    assert datetime.fromisoformat(event["when"]).tzinfo
    done = json.loads(event["parameters"])
    assert done["package"] == {"name": "tiny64", "manifest_sha256": sha256(tiny_package / "manifest.json")}
    assert done["settings"] == {
        "preset": "classic",
        "strength": 0.5,
        "latent_step_decay": 1,
        "iterations": 1,
        "eyes": "never",
    }
    (face,) = done["faces"]
    assert face["progress"] == 0.5
    with Image.open(out) as image:
        image.load()
        xmp = image.info["xmp"]
    assert b"Anna &amp; Otto" in xmp
    assert ALTERED.encode() in xmp
    assert b"digitalCapture" not in xmp


def test_events_follow_one_another_and_the_rest_of_the_packet_stays() -> None:
    once = with_history(OTHER, EVENT)
    twice = with_history(once, Event("gpen-edge 2", EVENT.when, ""))
    assert once
    assert twice
    assert twice.count(b"<stEvt:softwareAgent>") == 2
    assert twice.count(b":History") == 2
    assert twice.index(b"gpen-edge 1") < twice.index(b"gpen-edge 2")
    assert b'dc:title="Anna &amp; Otto"' in twice
    assert with_history(None, EVENT)


NESTED = b"<x:x xmlns:x='x'><r:RDF xmlns:r='%s'>%s%s</r:RDF></x:x>" % (
    RDF.encode(),
    b"<a>" * 5000,
    b"</a>" * 5000,
)


@pytest.mark.parametrize(
    "xmp", [b"no xml", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a", NESTED]
)
def test_a_packet_that_cannot_be_read_gets_no_history(xmp: bytes) -> None:
    assert with_history(xmp, EVENT) is None


def test_stripped_results_hold_the_history_alone_and_no_paths(
    tiny_package: Path, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jpg"
    arguments = [str(photo), "-o", str(out), "--model", str(tiny_package), "--provenance", "--strip-metadata"]
    assert main([*arguments, "--face", f"person={photo}"]) == 0
    assert len(history(out)) == 1
    assert b"Anna" not in out.read_bytes()
    assert str(tmp_path).encode() not in out.read_bytes()


def test_a_photo_in_which_nothing_is_done_stays_as_it_is(tiny_package: Path, tmp_path: Path) -> None:
    empty, out = tmp_path / "empty.jpg", tmp_path / "out.jpg"
    Image.new("RGB", (100, 80), "grey").save(empty)
    assert main([str(empty), "-o", str(out), "--model", str(tiny_package), "--provenance"]) == 0
    assert out.read_bytes() == empty.read_bytes()


def test_a_signed_result_verifies_and_names_its_original(
    tiny_package: Path, photo: Path, tmp_path: Path
) -> None:
    key, chain = pem_pair(tmp_path)
    signed = [str(photo), "-o", "", "--model", str(tiny_package), "--sign", str(key), str(chain)]
    first, second = tmp_path / "first.jpg", tmp_path / "second.png"
    signed[2] = str(first)
    assert main(signed) == 0
    assert history(first)
    signed[0], signed[2] = str(first), str(second)
    assert main(signed) == 0
    for path, mime, manifests in ((first, "image/jpeg", 1), (second, "image/png", 2)):
        with c2pa.Reader(mime, io.BytesIO(path.read_bytes())) as reader:
            assert reader.get_validation_state() == "Valid"
            store = json.loads(reader.json())
        assert len(store["manifests"]) == manifests
        active = store["manifests"][store["active_manifest"]]
        assert active["ingredients"][0]["relationship"] == "parentOf"
        actions = active["assertions"][0]["data"]["actions"]
        assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
        assert actions[1]["parameters"]["package"]["name"] == "tiny64"
        (face,) = actions[1]["parameters"]["faces"]
        assert re.fullmatch(r"\d+(,\d+){3}", face["box"])
    broken = bytearray(first.read_bytes())
    broken[-200] ^= 1
    with c2pa.Reader("image/jpeg", io.BytesIO(broken)) as reader:
        assert reader.get_validation_state() == "Invalid"


def test_what_cannot_sign_is_refused_before_any_work(
    tiny_package: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, chain = pem_pair(tmp_path)
    (tmp_path / "other").mkdir()
    foreign, _ = pem_pair(tmp_path / "other")
    (tmp_path / "old").mkdir()
    old = pem_pair(tmp_path / "old", days=10)
    (tmp_path / "own").mkdir()
    own = pem_pair(tmp_path / "own", self_signed=True)
    (tmp_path / "text.pem").write_text("no key")
    pairs = {
        (foreign, chain): "is not that of the key",
        (key, key): "holds no certificate",
        (chain, key): "takes the key first",
        (tmp_path / "none.pem", chain): "cannot be read",
        old: "cannot sign|does not verify",
        own: "signed by its own key, .* give one that an authority has signed",
        (tmp_path / "text.pem", chain): "not PEM",
    }
    for pair, message in pairs.items():
        with pytest.raises(SettingsError, match=message) as raised:
            open_key(*pair)
        assert str(raised.value).isprintable()
    out = tmp_path / "out.jpg"
    arguments = [str(photo), "-o", str(out), "--model", str(tiny_package)]
    assert main([*arguments, "--sign", str(foreign), str(chain)]) == 2
    assert not out.exists()
    capsys.readouterr()
    assert main([str(photo), "-o", f"{out}.bmp", *arguments[3:], "--sign", str(key), str(chain)]) == 2
    assert "BMP has no place for a signed manifest" in capsys.readouterr().err
    assert not Path(f"{out}.bmp").exists()


def test_pixels_of_a_signed_result_are_those_of_an_unsigned_one(
    tiny_package: Path, photo: Path, tmp_path: Path
) -> None:
    key, chain = pem_pair(tmp_path, form=serialization.PrivateFormat.TraditionalOpenSSL)
    assert b"BEGIN EC PRIVATE KEY" in key.read_bytes()
    arguments = [str(photo), "-o", str(tmp_path / "a.png"), "--model", str(tiny_package)]
    assert main(arguments) == 0
    arguments[2] = str(tmp_path / "b.png")
    assert main([*arguments, "--sign", str(key), str(chain)]) == 0
    a, b = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    np.testing.assert_array_equal(a, b)
