"""Picture files: what is let in comes out as the right luma, and what is not is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.errors import SourceUnreadable
from device.eye.pictures import list_pictures, natural_key, read_image
from tests.eye.pages import jpeg, png, png_header, symbol

GREY = np.array([[0, 50], [128, 255]], np.uint8)


def written(folder: Path, content: bytes, name: str = "x.png") -> Path:
    """A file with that content."""
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_grey_picture_comes_through_exactly(tmp_path: Path) -> None:
    """PNG is lossless, and nothing on the way changes a pixel."""
    pixels = read_image(written(tmp_path, png(GREY)))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, GREY)


def test_transparency_is_seen_over_white(tmp_path: Path) -> None:
    """A black symbol on a transparent ground would otherwise be black on black."""
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0, 3] = 255
    assert read_image(written(tmp_path, png(rgba))).tolist() == [[0, 255], [255, 255]]


def test_a_palette_with_a_transparent_colour_is_seen_over_white(tmp_path: Path) -> None:
    """Editors save symbols as palettes in which the ground has no colour."""
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 10, 10])
    image.putpixel((1, 0), 1)
    assert read_image(written(tmp_path, png(image, transparency=1))).tolist() == [[0, 255]]


def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path) -> None:
    """Clipping 16 bits to 8 would make nearly everything white."""
    deep = np.array([[0, 0x0100, 0x7FFF, 0xFFFF]], np.uint16)
    assert read_image(written(tmp_path, png(deep))).tolist() == [[0, 1, 127, 255]]


def test_black_and_white_becomes_0_and_255(tmp_path: Path) -> None:
    """One bit a pixel is how symbols are often saved."""
    assert read_image(written(tmp_path, png(Image.fromarray(GREY > 100)))).tolist() == [[0, 0], [255, 255]]


def test_a_jpeg_gives_its_luma(tmp_path: Path) -> None:
    """Colours are never made, so a red area has the brightness of red."""
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    pixels = read_image(written(tmp_path, jpeg(red), "x.jpg"))
    assert pixels.shape == (16, 16)
    assert abs(int(pixels.mean()) - 76) <= 1


def _truncated_png(folder: Path) -> Path:
    content = png(np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8))
    return written(folder, content[: len(content) // 2])


def _truncated_jpeg(folder: Path) -> Path:
    content = jpeg(symbol(b"cut", 8))
    return written(folder, content[: len(content) // 2], "x.jpg")


def _loop(folder: Path) -> Path:
    path = folder / "x.png"
    path.symlink_to(path)
    return path


def _folder(folder: Path) -> Path:
    path = folder / "x.png"
    path.mkdir()
    return path


def _pipe(folder: Path) -> Path:
    path = folder / "x.png"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda folder: written(folder, b""), "empty"),
        (lambda folder: written(folder, b"not a picture"), "not a PNG or JPEG"),
        (lambda folder: written(folder, b"GIF89a" + bytes(100)), "not a PNG or JPEG"),
        (_truncated_png, "truncated"),
        (_truncated_jpeg, "truncated"),
        (lambda folder: written(folder, png_header(10_000, 6_000)), "60.0 megapixels; the limit is 25"),
        (lambda folder: written(folder, png_header(60_000, 60_000)), "pixels"),
        (lambda folder: folder / "x.png", "No such file"),
        (_folder, "not a regular file"),
        (_pipe, "not a regular file"),
        (_loop, "loop"),
    ],
    ids=["empty", "text", "gif", "half-png", "half-jpeg", "60-megapixels", "bomb", "missing", "folder", "pipe", "symlink-loop"],
)
def test_what_is_no_whole_picture_is_refused_with_its_name(tmp_path: Path, make: Callable[[Path], Path], why: str) -> None:
    """Every fault says which file and what is wrong with it, and none waits."""
    path = make(tmp_path)
    with pytest.raises(SourceUnreadable) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


def test_a_file_that_may_not_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    """Missing rights are a fault like any other."""
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    path = written(tmp_path, png(GREY))
    path.chmod(0)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        read_image(path)


def test_too_many_pixels_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """The header decides: a file of a few bytes that claims 60 megapixels takes no memory for them."""
    path = written(tmp_path, png_header(10_000, 6_000))
    with pytest.raises(SourceUnreadable):
        read_image(path)
    with pytest.raises(SourceUnreadable, match="truncated"):
        read_image(path, max_megapixels=100)


def test_any_damage_to_a_picture_is_a_refusal_and_never_another_error(tmp_path: Path) -> None:
    """Three hundred damaged files: each is read or refused."""
    rng = np.random.default_rng(7)
    sources = [png(symbol(b"damage")), jpeg(symbol(b"damage")), png(Image.fromarray(symbol(b"damage")).convert("P"))]
    refused = 0
    for number in range(300):
        damaged = bytearray(sources[number % len(sources)])
        for place in rng.integers(0, len(damaged), 4):
            damaged[place] = rng.integers(0, 256)
        path = written(tmp_path, bytes(damaged[: rng.integers(1, len(damaged) + 1)]))
        try:
            read_image(path)
        except SourceUnreadable:
            refused += 1
    assert refused > 100


def open_descriptors() -> int:
    """Of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """A folder full of bad files must not use up the process's descriptors."""
    before = open_descriptors()
    for path in (_folder(tmp_path), written(tmp_path, b"", "y.png"), written(tmp_path, b"text", "z.png")):
        with pytest.raises(SourceUnreadable):
            read_image(path)
    assert open_descriptors() == before


def test_pictures_are_listed_in_natural_order(tmp_path: Path) -> None:
    """frame2 comes before frame10, and what is not named like a picture is left out."""
    for name in ("frame10.png", "frame2.PNG", "frame1.jpeg", "notes.txt", "frame2b.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in list_pictures(tmp_path)] == ["frame1.jpeg", "frame2.PNG", "frame2b.jpg", "frame10.png"]


def test_names_that_differ_only_in_case_or_zeros_have_one_order() -> None:
    """Two names never compare as equal, so the order does not hang on the file system: capitals first, then more zeros."""
    names = ["a01", "a1", "A1", "a001"]
    assert len({natural_key(name) for name in names}) == 4
    assert sorted(names, key=natural_key) == ["A1", "a001", "a01", "a1"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The operator reads which folder is meant."""
    with pytest.raises(SourceUnreadable, match="nowhere"):
        list_pictures(tmp_path / "nowhere")
