"""What a file says in words is said by the result too, and nothing of parts that the result lacks."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG, UNDEFINED

from runtime.commands.remarks import file_remarks
from runtime.photo.captions import iptc_of
from runtime.photo.jpeg_segments import COMMENT, segments
from runtime.photo.reader import Photo, read_photo
from runtime.photo.source import PhotoSource
from runtime.photo.writer import left_out, write_photo
from runtime.photo.xmp import without_parts

RGB = np.random.default_rng(6).integers(0, 256, (12, 16, 3), np.uint8)
USER_COMMENT, EXIF_IFD = 0x9286, 0x8769
PROMPT = "portrait of a woman, Steps: 20, Größe: 512"


def record(number: int, text: bytes) -> bytes:
    return b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text


IIM = b"\x1c\x01\x5a\0\x03\x1b%G" + record(80, b"A. Photographer") + record(120, b"Wedding of the miller!")


def resource(code: int, data: bytes, name: bytes = b"") -> bytes:
    named = bytes([len(name)]) + name
    named += b"\0" * (len(named) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", code)
        + named
        + struct.pack(">I", len(data))
        + data
        + b"\0" * (len(data) % 2)
    )


def jpeg(path: Path, *parts: bytes, **options: object) -> Path:
    Image.fromarray(RGB).save(path, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + b"".join(parts) + whole[2:])
    return path


def part(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def app13(*resources: bytes) -> bytes:
    return part(0xED, b"Photoshop 3.0\0" + b"".join(resources))


def again(photo: Photo, path: Path) -> Photo:
    write_photo(path, photo, overwrite=True)
    return read_photo(path)


def comments_of(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[each.body : each.end] for each in segments(data) if each.marker == COMMENT]


# IPTC


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_iptc_goes_along_into_every_format_and_back(tmp_path: Path, suffix: str) -> None:
    photo = read_photo(jpeg(tmp_path / "in.jpg", app13(resource(0x0404, IIM, b"odd"))))
    once = again(photo, tmp_path / f"out{suffix}")
    assert iptc_of(once.source.captions) == IIM
    twice = again(once, tmp_path / "back.jpg")
    assert iptc_of(twice.source.captions) == IIM
    with Image.open(tmp_path / "back.jpg") as image:
        assert IptcImagePlugin.getiptcinfo(image)[(2, 120)] == b"Wedding of the miller!"


def test_copyright_flag_and_address_stay_and_thumbnails_do_not(tmp_path: Path) -> None:
    kept = resource(0x040A, b"\1") + resource(0x040B, b"https://agency.example/odd")
    thumbnail = resource(0x040C, b"a face as it was")
    photo = read_photo(jpeg(tmp_path / "in.jpg", app13(kept, thumbnail, resource(0x0404, IIM))))
    write_photo(tmp_path / "out.jpg", photo)
    written = (tmp_path / "out.jpg").read_bytes()
    assert kept in written
    assert b"a face as it was" not in written


def test_iptc_longer_than_a_segment_is_split_and_joined(tmp_path: Path) -> None:
    long = IIM + b"".join(record(25, b"keyword %6d" % i) for i in range(6000))
    first = app13(resource(0x0404, long)[:60000])
    rest = part(0xED, b"Photoshop 3.0\0" + resource(0x0404, long)[60000:])
    photo = read_photo(jpeg(tmp_path / "in.jpg", first, rest))
    assert iptc_of(again(photo, tmp_path / "out.jpg").source.captions) == long


def test_a_tiffs_iptc_that_is_declared_as_longs_is_read(tmp_path: Path) -> None:
    padded = IIM + b"\0" * (-len(IIM) % 4)
    path = tmp_path / "in.tif"
    tags = ImageFileDirectory_v2()
    tags.tagtype[33723] = UNDEFINED
    tags[33723] = padded
    Image.fromarray(RGB).save(path, tiffinfo=tags)
    entry = struct.pack("<HHI", 33723, UNDEFINED, len(padded))
    whole = path.read_bytes()
    assert whole.count(entry) == 1
    path.write_bytes(whole.replace(entry, struct.pack("<HHI", 33723, LONG, len(padded) // 4)))
    assert iptc_of(read_photo(tmp_path / "in.tif").source.captions) == padded


@pytest.mark.parametrize("cut", [1, 5, 9, 13, 40])
def test_broken_image_resources_do_no_harm(tmp_path: Path, cut: int) -> None:
    photo = read_photo(jpeg(tmp_path / "in.jpg", app13(resource(0x0404, IIM)[:-cut])))
    assert again(photo, tmp_path / "out.jpg").pixels.shape == RGB.shape


# Comments and texts


def test_every_comment_of_a_jpeg_stays_byte_for_byte(tmp_path: Path) -> None:
    said = [b"Grandmother, 1931", "Großmutter".encode("latin-1"), "Großmutter".encode()]
    path = jpeg(tmp_path / "in.jpg", *(part(0xFE, each) for each in said))
    again(read_photo(path), tmp_path / "out.jpg")
    assert comments_of(tmp_path / "out.jpg") == said


def texts_of(path: Path) -> dict[str, str]:
    with Image.open(path) as image:
        image.load()
        return {name: str(text) for name, text in image.text.items()}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    info = PngInfo()
    info.add_text("parameters", PROMPT)
    info.add_itxt("Title", "Großmutter", lang="de", tkey="Titel")
    info.add_text("Copyright", "(c) Agency", zip=True)
    info.add_itxt("Workflow", "{" + "x" * 5000 + "}", zip=True)
    Image.fromarray(RGB).save(tmp_path / "texts.png", pnginfo=info)
    return tmp_path / "texts.png"


@pytest.mark.parametrize("deep", [False, True])
def test_a_png_keeps_its_texts_chunk_for_chunk(tmp_path: Path, texts: Path, deep: bool) -> None:
    photo = read_photo(texts)
    if deep:
        photo = Photo(photo.pixels.astype(np.uint16) * 257, None, photo.source)
    write_photo(tmp_path / "out.png", photo)
    assert texts_of(tmp_path / "out.png") == texts_of(texts)
    written = (tmp_path / "out.png").read_bytes()
    assert all(text.raw in written for text in photo.source.texts)
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.text["Title"].lang == "de"


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_a_generators_prompt_is_the_user_comment_of_other_formats(
    tmp_path: Path, texts: Path, suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    write_photo(path, read_photo(texts))
    with Image.open(path) as image:
        raw = bytes(image.getexif().get_ifd(EXIF_IFD)[USER_COMMENT])
    assert raw.startswith(b"UNICODE\0")
    told = raw[8:].decode("utf-16-be")
    assert PROMPT in told
    if suffix == ".jpg":
        assert told == PROMPT
        assert b"Copyright: (c) Agency" in comments_of(path)
        assert "Title: Großmutter".encode() in comments_of(path)
    else:
        assert "Title: Großmutter" in told


def test_a_jpegs_comment_is_a_text_of_a_png_and_comes_back(tmp_path: Path) -> None:
    photo = read_photo(jpeg(tmp_path / "in.jpg", part(0xFE, "Großmutter – 1931".encode())))
    once = again(photo, tmp_path / "out.png")
    assert texts_of(tmp_path / "out.png") == {"Comment": "Großmutter – 1931"}
    again(once, tmp_path / "back.jpg")
    assert comments_of(tmp_path / "back.jpg") == ["Großmutter – 1931".encode()]


def test_a_text_that_explodes_is_carried_unread(tmp_path: Path) -> None:
    body = b"Bomb\0\0" + zlib.compress(bytes(900_000))  # within Pillow's own bound
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    Image.fromarray(RGB).save(tmp_path / "in.png")
    whole = (tmp_path / "in.png").read_bytes()
    (tmp_path / "in.png").write_bytes(whole[:33] + chunk + whole[33:])
    photo = read_photo(tmp_path / "in.png")
    write_photo(tmp_path / "out.png", photo)
    assert chunk in (tmp_path / "out.png").read_bytes()
    assert left_out(photo, tmp_path / "out.jpg") == ["the text 'Bomb'"]


def test_what_a_format_has_no_place_for_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "x" * 70000
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"ASCII\0\0\0said already"
    comment = read_photo(jpeg(tmp_path / "in.jpg", part(0xFE, b"said"))).source.texts
    source = PhotoSource(exif=exif.tobytes(), xmp=b"y" * 70000, texts=comment)
    photo = Photo(RGB, None, source)
    assert left_out(photo, tmp_path / "a.jpg") == ["EXIF", "XMP"]
    assert left_out(photo, tmp_path / "a.webp") == ["comments and texts"]
    assert left_out(photo, tmp_path / "a.bmp") == ["EXIF", "XMP", "captions"]
    assert left_out(photo, tmp_path / "a.png") == []
    opaque, clear = (Photo(RGB, np.full(RGB.shape[:2], alpha, np.uint8), PhotoSource()) for alpha in (255, 9))
    assert [left_out(opaque, tmp_path / f"a.{kind}") for kind in ("jpg", "bmp", "png")] == [[], [], []]
    assert [left_out(clear, tmp_path / f"a.{kind}") for kind in ("jpg", "bmp")] == [["transparency"]] * 2
    assert [left_out(clear, tmp_path / f"a.{kind}") for kind in ("png", "webp", "tif")] == [[], [], []]
    assert list(file_remarks(photo, tmp_path / "a.jpg")) == ["JPG has no place for EXIF and XMP: left out"]


# XMP that speaks of parts


def xmp(attributes: str, inner: str = "") -> bytes:
    names = {
        "Camera": "http://ns.google.com/photos/1.0/camera/",
        "Container": "http://ns.google.com/photos/1.0/container/",
        "Item": "http://ns.google.com/photos/1.0/container/item/",
        "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
        "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "xmpNote": "http://ns.adobe.com/xmp/note/",
    }
    declared = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in names.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'{declared} {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


DIRECTORY = (
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" '
    'Item:Length="20012"/></rdf:li></rdf:Seq></Container:Directory>'
)
TITLE = "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Großmutter &amp; ich</rdf:li></rdf:Alt></dc:title>"


@pytest.mark.parametrize(
    ("attributes", "inner", "parts"),
    [
        ('Camera:MotionPhoto="1" Camera:MotionPhotoVersion="1"', "", {"a motion photo's video"}),
        ('Camera:MicroVideo="1" Camera:MicroVideoOffset="20012"', DIRECTORY, {"a motion photo's video"}),
        ("", "<Camera:MotionPhoto>1</Camera:MotionPhoto>", {"a motion photo's video"}),
        ('hdrgm:Version="1.0"', DIRECTORY, {"a gain map"}),
        ("", "<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>", {"a gain map"}),
        ("", DIRECTORY, {"further parts"}),
        ("", "<xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails>", set()),
    ],
)
def test_only_what_speaks_of_lost_parts_leaves_the_xmp(attributes: str, inner: str, parts: set[str]) -> None:
    cleaned, lost = without_parts(
        xmp(f"{attributes} Camera:BurstID='b' dc:format='image/jpeg'", TITLE + inner)
    )
    assert lost == parts
    text = (cleaned or b"").decode()
    for word in ("MotionPhoto", "MicroVideo", "Directory", "GainMap", "hdrgm", "Thumbnails", "20012"):
        assert word not in text
    for word in ("BurstID", "image/jpeg", "Großmutter &amp; ich", "x-default", "<?xpacket end"):
        assert word in text


def test_a_packet_that_speaks_of_no_parts_stays_byte_for_byte() -> None:
    packet = xmp('dc:format="image/jpeg"', TITLE)
    assert without_parts(packet) == (packet, frozenset())


@pytest.mark.parametrize(
    "broken",
    [
        b"<x MotionPhoto",
        b"<!DOCTYPE x [<!ENTITY a 'MotionPhoto'>]><x>&a;</x>",
        b"<a>" * 5000 + b"<MotionPhoto/>" + b"</a>" * 5000,
    ],
)
def test_a_packet_that_is_no_xml_or_very_deep_and_speaks_of_parts_is_dropped(broken: bytes) -> None:
    assert without_parts(broken) == (None, frozenset({"further parts"}))


def test_a_packet_without_declarations_is_cleaned_too() -> None:
    packet = (
        b"<x:xmpmeta><rdf:Description GCamera:MotionPhoto='1' hdrgm:Version='1.0' dc:title='x'/></x:xmpmeta>"
    )
    cleaned, _ = without_parts(packet)
    assert cleaned == b'<x:xmpmeta><rdf:Description dc:title="x"/></x:xmpmeta>'


def test_a_motion_photos_result_says_nothing_of_its_video(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in.jpg", xmp=xmp('Camera:MotionPhoto="1" Camera:MicroVideoOffset="8"'))
    path.write_bytes(path.read_bytes() + b"\0\0\0\x18ftypmp42" + bytes(2000))
    photo = read_photo(path)
    write_photo(tmp_path / "out.jpg", photo)
    assert b"MotionPhoto" not in (tmp_path / "out.jpg").read_bytes()
    said = "the file also holds a motion photo's video, which the result does not have"
    assert list(file_remarks(photo, tmp_path / "out.jpg")) == [said]


def test_extended_xmp_goes_along_in_a_jpeg_and_is_not_promised_elsewhere(tmp_path: Path) -> None:
    body = (
        b"http://ns.adobe.com/xmp/extension/\0"
        + b"0123456789ABCDEF" * 2
        + struct.pack(">II", 5, 0)
        + b"<a/> "
    )
    packet = xmp('xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"')
    photo = read_photo(jpeg(tmp_path / "in.jpg", part(0xE1, body), xmp=packet))
    write_photo(tmp_path / "out.jpg", photo)
    assert body in (tmp_path / "out.jpg").read_bytes()
    assert b"HasExtendedXMP" in (tmp_path / "out.jpg").read_bytes()
    write_photo(tmp_path / "out.png", photo)
    assert b"HasExtendedXMP" not in (tmp_path / "out.png").read_bytes()
    assert left_out(photo, tmp_path / "out.png") == ["the second part of XMP"]
