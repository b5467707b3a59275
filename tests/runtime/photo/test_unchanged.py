"""A photo in which nothing was restored is not written anew: its bytes are copied."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from runtime.commands.jobs import plan, remaining
from runtime.commands.restored_photo import restored
from runtime.photo.jpeg_segments import START_OF_SCAN, segments
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from runtime.restore import main
from runtime.result import RestoreResult
from runtime.settings.settings import RestoreSettings
from runtime.watch import main as watch

RNG = np.random.default_rng(9)
ORIENTATION, MAKE, EXIF_IFD, LENS, GPS_IFD, PLACE = 0x0112, 0x010F, 0x8769, 0xA434, 0x8825, 0x001C
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>Paris-Nadar</x:xmpmeta>"
SECRET = b"Nadar"


def scene(seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(small).resize((80, 64), Image.Resampling.BICUBIC)


def exif(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION], block[MAKE] = orientation, "Nadar"
    block.get_ifd(EXIF_IFD)[LENS] = "Nadar 50 mm"
    block.get_ifd(GPS_IFD)[PLACE] = b"Nadar"
    return block


def album(folder: Path) -> list[Path]:
    """Make twenty photos without a face, as odd as real ones."""
    folder.mkdir(parents=True)
    told = {"exif": exif(6), "icc_profile": ICC}
    scene(1).save(folder / "a.jpg", quality=80, comment=b"Nadar", xmp=XMP, **told)
    scene(2).save(folder / "b.JPG", quality=60, progressive=True, subsampling=2, exif=exif(3))
    scene(3).convert("L").save(folder / "c.jpeg", quality=75)
    scene(4).convert("CMYK").save(folder / "d.jpg", quality=75)
    (folder / "e.jpg").write_bytes((folder / "c.jpeg").read_bytes() + b"\0\0\0\x18ftypmp42Nadar" + bytes(999))
    (folder / "f.jpg").write_bytes((folder / "c.jpeg").read_bytes()[:-2])
    text = PngInfo()
    text.add_itxt("parameters", "Nadar")
    scene(5).save(folder / "g.png", pnginfo=text, **told)
    scene(6).quantize(16).save(folder / "h.png", transparency=3)
    scene(7).save(folder / "i.png", save_all=True, append_images=[scene(8)], duration=90)
    Image.fromarray(RNG.integers(0, 65536, (20, 30), np.uint16)).save(folder / "j.png")
    scene(9).save(folder / "k.webp", quality=50, xmp=XMP, **told)
    scene(10).save(folder / "l.webp", save_all=True, append_images=[scene(11)], duration=90)
    scene(12).save(folder / "m.tif", compression="tiff_lzw", **told)
    scene(13).save(folder / "n.tiff", compression="jpeg")
    scene(14).save(folder / "o.tif", save_all=True, append_images=[scene(15), scene(16)])
    scene(17).convert("CMYK").save(folder / "p.tif")
    scene(18).save(folder / "q.bmp")
    pillow_heif.from_pillow(scene(19)).save(folder / "r.heic", quality=60)
    pillow_heif.from_pillow(scene(20)).save(folder / "s.HIF", quality=60)
    scene(21).save(folder / "t.gif", save_all=True, append_images=[scene(22)], duration=90)
    if features.check("avif"):
        scene(23).save(folder / "u.avif", **told)
    return sorted(folder.iterdir())


@pytest.fixture
def run(tiny_package: Path):
    def restore(*arguments: object) -> int:
        return main([*map(str, arguments), "--model", str(tiny_package), "--threads", "1"])

    return restore


def test_twenty_photos_without_a_face_come_out_byte_for_byte(run, tmp_path: Path) -> None:
    photos = album(tmp_path / "album")
    assert len(photos) >= 20
    assert run(tmp_path / "album", "-o", tmp_path / "out", "--report", tmp_path / "r.json") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in photos]
    for path in photos:
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name
    report = json.loads((tmp_path / "r.json").read_text())
    assert [entry["output"] for entry in report["photos"]] == [str(tmp_path / "out" / p.name) for p in photos]


def test_the_hot_folder_copies_them_too(tiny_package: Path, tmp_path: Path) -> None:
    photos = album(tmp_path / "in")
    before = {path.name: path.read_bytes() for path in photos}
    said = ["--once", "--settle", "0", "--model", str(tiny_package), "--threads", "1"]
    assert watch([str(tmp_path / "in"), str(tmp_path / "out"), *said]) == 0
    for name, content in before.items():
        assert (tmp_path / "out" / name).read_bytes() == content, name
        assert (tmp_path / "out" / "done" / name).read_bytes() == content, name


@pytest.mark.parametrize("options", [["--face", "largest"], ["--face-mask-weights", "face=0"]])
def test_a_face_that_keeps_its_pixels_leaves_the_file_as_it_is(
    run, portrait_file: Path, tmp_path: Path, options: list[str]
) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    with Image.open(portrait_file) as portrait:
        side = 20 if options[0] == "--face" else portrait.width  # a face of 20 pixels is left alone
        picture = portrait.convert("RGB")
        small = picture.resize((side, side * picture.height // picture.width))
    paper = Image.new("RGB", (max(120, small.width), max(120, small.height)), "grey")
    paper.paste(small)
    paper.save(photo, quality=70)
    assert run(photo, "-o", out, *options) == 0
    assert out.read_bytes() == photo.read_bytes()


def test_a_restored_or_enlarged_photo_or_another_format_is_written(
    run, portrait_file: Path, tmp_path: Path
) -> None:
    scene().save(tmp_path / "a.jpg", quality=70)
    assert run(tmp_path / "a.jpg", "-o", tmp_path / "large.jpg", "--upscale", "2") == 0
    with Image.open(tmp_path / "large.jpg") as image:
        assert image.size == (160, 128)
    assert run(tmp_path / "a.jpg", "-o", tmp_path / "a.png") == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    out = tmp_path / f"out{portrait_file.suffix}"
    assert run(portrait_file, "-o", out) == 0
    assert out.read_bytes() != portrait_file.read_bytes()


def test_a_heic_named_as_a_jpeg_on_the_command_line_becomes_one(run, tmp_path: Path) -> None:
    pillow_heif.from_pillow(scene()).save(tmp_path / "a.heic", quality=60)
    assert run(tmp_path / "a.heic", "-o", tmp_path / "b.jpg") == 0
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.format == "JPEG"
    (tmp_path / "out").mkdir()
    assert run(tmp_path / "a.heic", "-o", tmp_path / "out") == 0
    assert (tmp_path / "out" / "a.heic").read_bytes() == (tmp_path / "a.heic").read_bytes()


def test_a_copy_is_never_put_over_a_file_that_exists(run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    pillow_heif.from_pillow(scene()).save(tmp_path / "in" / "a.heic", quality=60)
    (tmp_path / "out" / "a.heic").write_bytes(b"mine")
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert (tmp_path / "out" / "a.heic").read_bytes() == b"mine"
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--overwrite") == 0
    assert (tmp_path / "out" / "a.heic").read_bytes() == (tmp_path / "in" / "a.heic").read_bytes()
    assert run(tmp_path / "in", "-o", tmp_path / "in") == 0  # beside the original, which is its own copy
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.heic"]


def test_a_copy_counts_as_done_when_a_run_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("a.heic", "b.heic"):
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "out" / "a.heic").write_bytes(b"x")
    left = remaining(plan([tmp_path / "in"], tmp_path / "out", None))
    assert [job.photo.name for job in left] == ["b.heic"]


def test_a_file_that_changed_since_it_was_read_is_not_copied(tmp_path: Path) -> None:
    """What was read is written then, not what lies there now."""
    path = tmp_path / "a.png"
    scene(1).save(path)
    photo = read_photo(path)
    scene(2).save(path)
    written = restored(photo, RestoreResult(photo.pixels, (), {}, RestoreSettings()))
    assert written.content is None
    write_photo(tmp_path / "out.png", written)
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").pixels, photo.pixels)


# Without metadata


def compressed(path: Path) -> list[bytes]:
    """Return what a file has of its compressed picture."""
    data = path.read_bytes()
    if data[:2] == b"\xff\xd8":
        return [data[each.start : each.end] for each in segments(data) if each.marker == START_OF_SCAN]
    found, at = [], 8 if data[:4] == b"\x89PNG" else 12
    while at + 12 <= len(data):
        if at and data[:4] == b"\x89PNG":
            size, name = struct.unpack_from(">I4s", data, at)
            body, at = data[at + 8 : at + 8 + size], at + 12 + size
        else:
            name, size = struct.unpack_from("<4sI", data, at)
            body, at = data[at + 8 : at + 8 + size], at + 8 + size + size % 2
        found += [body] if name in (b"IDAT", b"fdAT", b"VP8 ", b"VP8L", b"ANMF", b"ALPH") else []
    return found


def test_stripped_of_metadata_the_compressed_picture_stays(run, tmp_path: Path) -> None:
    photos = album(tmp_path / "album")
    assert run(tmp_path / "album", "-o", tmp_path / "out", "--strip-metadata") == 0
    for path in photos:
        copied = path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
        name = path.name if path.suffix.lower() not in (".heic", ".hif", ".avif", ".gif") else None
        name = name or path.stem + (".png" if path.suffix == ".gif" else ".jpg")
        out = tmp_path / "out" / name
        assert SECRET not in out.read_bytes(), name
        before, after = read_photo(path), read_photo(out)
        if copied:
            assert compressed(out) == compressed(path) != [], name
        if path.suffix.lower() not in (".heic", ".hif", ".avif"):
            np.testing.assert_array_equal(after.pixels, before.pixels)
            np.testing.assert_array_equal(after.alpha, before.alpha)
            assert after.source.dpi == before.source.dpi
        assert after.source.icc == before.source.icc
        with Image.open(out) as image:
            image.load()
            assert set(image.getexif()) - {ORIENTATION} == set() or path.suffix.startswith(".tif")


def test_a_stripped_adobe_rgb_keeps_its_colours(tmp_path: Path) -> None:
    block = exif()
    block.get_ifd(EXIF_IFD)[0xA005] = {1: "R03"}
    scene().save(tmp_path / "a.jpg", exif=block)
    photo = read_photo(tmp_path / "a.jpg")
    untouched = RestoreResult(photo.pixels, (), {}, RestoreSettings())
    write_photo(tmp_path / "b.jpg", restored(photo, untouched, strip_metadata=True))
    assert compressed(tmp_path / "b.jpg") == compressed(tmp_path / "a.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
        assert profile.red_primary[1][0] == pytest.approx(0.64, abs=0.02)
    assert SECRET not in (tmp_path / "b.jpg").read_bytes()


def test_unknown_chunks_and_thumbnails_are_metadata(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    secret = struct.pack(">I", 5) + b"caBXNadar" + struct.pack(">I", zlib.crc32(b"caBXNadar"))
    (tmp_path / "a.png").write_bytes(whole[:33] + secret + whole[33:] + b"Nadar")
    scene().save(tmp_path / "b.jpg")
    jpeg = (tmp_path / "b.jpg").read_bytes()
    jfxx = b"\xff\xe0" + struct.pack(">H", 13) + b"JFXX\0\x10Nadar"
    (tmp_path / "b.jpg").write_bytes(jpeg[:20] + jfxx + jpeg[20:])
    for name in ("a.png", "b.jpg"):
        photo = read_photo(tmp_path / name)
        untouched = RestoreResult(photo.pixels, (), {}, RestoreSettings())
        out = tmp_path / f"out-{name}"
        write_photo(out, restored(photo, untouched, strip_metadata=True))
        assert SECRET not in out.read_bytes()
        assert compressed(out) == compressed(tmp_path / name)
