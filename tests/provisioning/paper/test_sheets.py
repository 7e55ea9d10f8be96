"""Paper: our own eye reads the codes back from the drawn page, every letter is in the typeface, and nothing runs off the page."""

from __future__ import annotations

import io
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import device
from device.core.credentials import parse
from device.core.types import Credential, Kind
from device.edges.keys.trust_files import Signs, load_province, load_trust
from provisioning.authority.creation import make
from provisioning.authority.keys import Purpose
from provisioning.badges.batch import issue
from provisioning.badges.issuer import BadgeIssuer
from provisioning.common.catalogue import Lang, words
from provisioning.paper import printing, sheets
from provisioning.places.wiring import Door, Fitting, Kit, PowerLoss
from provisioning.registry.tables import Gate, GateState, Site
from tests.provisioning.paper.pages import AT, decode, pixels, running_into_each_other, text_of
from tests.provisioning.registry.rows import a_gate, a_site

LONG = "Trung tâm Giáo dục Nghề nghiệp - Giáo dục Thường xuyên và Hướng nghiệp Khu vực Đông Nam"


def test_the_eye_reads_the_label(school: tuple[Site, Gate]) -> None:
    """And finds the gate's id, and nothing else."""
    page = pixels(bytes(sheets.label(*school, AT).output()))
    (symbol,) = decode(page)
    assert bytes(symbol.payload).decode() == f"GATE:{school[1].id}:{school[0].id}:1"


def test_the_eye_reads_every_badge_of_a_sheet(school: tuple[Site, Gate], tmp_path: Path) -> None:
    """Each card cut out; and a gate that trusts the authority takes it."""
    one = make(tmp_path / "authority", "Test", "ba bon nam sau")
    trust = load_trust(one.folder / "public" / "trust.json", load_province(one.folder / "public" / "province.pem", Signs.LISTS))
    issuer = BadgeIssuer(one.signer(Purpose.BADGES, "ba bon nam sau"), 1)
    names = [f"Nguyễn Thị Thử Nghiệm {number}" for number in range(12)]
    made = issue(school[0], names, datetime.now(UTC) + timedelta(days=100), 3, 1, issuer)
    document = bytes(sheets.badges(school[0], [(row.label, text, row.expires) for row, text in made], AT).output())
    seen = []
    for number in range(12):
        page = np.asarray(Image.open(io.BytesIO(printing.png(document, number // 10))).convert("L"))
        wide, high = (round(side * printing.DOTS_PER_MM) for side in sheets.CARD_MM)
        left, top = round((210 - 2 * 85.6) / 2 * 12) + number % 2 * wide, round((297 - 5 * 54) / 2 * 12) + number % 10 // 2 * high
        (symbol,) = decode(page[top : top + high, left : left + wide])
        seen.append(symbol.payload.decode())
        found = parse(symbol.payload, None, trust)
        assert isinstance(found, Credential)
        assert (found.kind, found.number) == (Kind.SITE_BADGE, made[number][0].subject)
    assert seen == [text for _, text in made]


def test_the_eye_reads_nothing_on_the_poster(school: tuple[Site, Gate]) -> None:
    """It hangs where the camera may see it."""
    assert decode(pixels(bytes(sheets.poster(school[0], AT).output()))) == ()


def test_vietnamese_stands_on_the_page_as_it_was_written(school: tuple[Site, Gate]) -> None:
    """Letter by letter; a typeface without them would leave holes."""
    told = text_of(bytes(sheets.poster(school[0], AT).output()))
    assert words(Lang.VI, "paper.hold_title") in told
    assert "đón học sinh" in told
    assert "Trường Tiểu học Hoa Phượng" in text_of(bytes(sheets.label(*school, AT).output()))


def test_the_label_says_what_the_case_holds() -> None:
    """Who comes with a spare part sees it before the case is open."""
    site = a_site()
    fitting = Fitting(Kit.BASIC, Door.RELAY, PowerLoss.LOCKED)
    assert "pi4 · basic · relay locked" in text_of(bytes(sheets.label(site, a_gate(site, GateState.PLANNED, fitting), AT).output()))


def test_the_poster_says_what_the_lamps_really_do() -> None:
    """The beeps of the signal score."""
    score = tomllib.loads((Path(device.__file__).parent / "score.toml").read_text(encoding="utf-8"))["sign"]
    count = {name: score[name]["beeps"]["count"] for name in ("accept_in", "accept_out", "reject", "refer")}
    assert count == {"accept_in": 1, "accept_out": 2, "reject": 3, "refer": 1}
    assert "vào: một tiếng bíp, ra: hai tiếng" in words(Lang.VI, "paper.lamp_green")
    assert "ba tiếng" in words(Lang.VI, "paper.lamp_red")
    assert "một tiếng dài" in words(Lang.VI, "paper.lamp_amber")


@pytest.mark.parametrize("kind", ["label", "poster"])
def test_long_names_stay_on_the_page(kind: str) -> None:
    """A margin all around is white, and the label's lines do not run into each other."""
    site = a_site(LONG, purpose=LONG + LONG[:100], legal_basis=LONG, contact=LONG)
    gate = a_gate(site)
    sheet = sheets.label(site, gate, AT) if kind == "label" else sheets.poster(site, AT)
    page = pixels(bytes(sheet.output()))
    edge = 2 * printing.DOTS_PER_MM
    for strip in (page[:edge], page[-edge:], page[:, :edge], page[:, -edge:]):
        assert strip.min() == 255


@pytest.mark.parametrize("name", ["A", LONG, f"{LONG} {LONG}", "M" * 200])
def test_lines_of_the_label_do_not_run_into_each_other(name: str) -> None:
    """However long the site's name is, up to what the registry takes."""
    site = a_site(name)
    assert running_into_each_other(bytes(sheets.label(site, a_gate(site), AT).output())) == []


@pytest.mark.parametrize("name", ["A", "Nguyễn Thị Thử Nghiệm", LONG[:60], "M" * 60])
def test_lines_of_a_badge_do_not_run_into_each_other(name: str) -> None:
    """However long the site's name is: between the last two lines there is white."""
    site = a_site(LONG)
    page = pixels(bytes(sheets.badges(site, [(name, "G1:X", AT)], AT).output()))
    left, top = (round(side * printing.DOTS_PER_MM) for side in ((210 - 2 * 85.6) / 2, (297 - 5 * 54) / 2))
    text = page[top + 12 : top + round(53 * printing.DOTS_PER_MM), left + 24 : left + 38 * printing.DOTS_PER_MM]
    dark = [bool(row.min() < 128) for row in text]
    # What is found is printed at 42 mm; a millimetre above it is empty.
    assert not any(dark[round(40.2 * printing.DOTS_PER_MM) - 12 : round(41.8 * printing.DOTS_PER_MM) - 12])
    assert any(dark[round(42 * printing.DOTS_PER_MM) :])


def test_the_same_content_gives_the_same_bytes(school: tuple[Site, Gate]) -> None:
    """So that a page can be compared."""
    assert bytes(sheets.label(*school, AT).output()) == bytes(sheets.label(*school, AT).output())


def test_fingerprints_stand_in_groups(school: tuple[Site, Gate]) -> None:
    """Of four, as they are read aloud."""
    assert school
    told = text_of(bytes(sheets.fingerprints("Test", {"root": "0123456789abcdef" * 4}, Lang.VI, AT).output()))
    assert "0123 4567 89ab cdef" in told
