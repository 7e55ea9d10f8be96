"""Paper for the work at a gate: our own eye reads its codes, and what failed stands there as failed."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image

from device.core import wire
from provisioning.acceptance import AcceptanceRow, JudgedGate, questions
from provisioning.badges.targets import EXPIRED, FOREIGN, GOOD, REVOKED
from provisioning.common.catalogue import Lang, words
from provisioning.paper import printing, service_sheets
from provisioning.places.wiring import Door, Fitting, Kit, PowerLoss
from provisioning.registry.tables import Gate, GateState, Site
from tests.provisioning.paper.pages import AT, decode, lines_on, pixels, running_into_each_other, text_of
from tests.provisioning.registry.rows import a_gate, a_site

PARTS: Final = ("files", "decoders", "camera", "signals", "storage", "space", "clock", "temperature", "power", "certificate", "broker")


def test_the_eye_reads_the_largest_order_from_its_page(school: tuple[Site, Gate]) -> None:
    """A thousand letters of Base45: a gate's own certificate."""
    text = "GC1:" + "ABC5 $%" * 150
    page = pixels(bytes(service_sheets.order(*school, text, 24, AT).output()))
    assert [symbol.payload.decode() for symbol in decode(page)] == [text]


def test_each_test_code_stands_alone_and_is_read(school: tuple[Site, Gate]) -> None:
    """A quarter of the page each, as somebody holds it up; with its name above it."""
    codes = {GOOD: "G1:GOOD", EXPIRED: "G1:EXPIRED", REVOKED: "G1:REVOKED", FOREIGN: "G1:FOREIGN"}
    document = bytes(service_sheets.targets(school[0], codes, AT).output())
    page = np.asarray(Image.open(io.BytesIO(printing.png(document))).convert("L"))
    assert sorted(symbol.payload.decode() for symbol in decode(page)) == sorted(codes.values())
    told = text_of(document)
    assert all(words(Lang.VI, key) in told for key in service_sheets.TARGETS.values())


def test_an_acceptance_of_everything_stays_on_its_page_and_no_line_runs_into_another() -> None:
    """Every row of a report, every question that there is, each part with a long value."""
    site = a_site("Trung tâm Giáo dục Nghề nghiệp - Giáo dục Thường xuyên và Hướng nghiệp Khu vực Đông Nam")
    gate = a_gate(site, GateState.ENROLLED, Fitting(Kit.FULL, Door.RELAY, PowerLoss.LOCKED))
    epoch = "0190a0b0-0000-7000-8000-000000000000"
    report = wire.SelftestReport(gate=gate.id, version="1.2", time="2026-11-27T06:00:00Z", epoch=epoch, rows=[], deeds=[])
    checks = (*PARTS, "distances", "code_expired", "code_revoked", "code_unknown_issuer", "restarts", *questions(gate))
    rows = [AcceptanceRow(check, "fail", "the running gate says: " + "x y " * 20 if check in PARTS else "0 / 3") for check in checks]
    names = {check: {lang: words(lang, f"accept.{check}") for lang in Lang} for check in checks}
    document = bytes(service_sheets.acceptance(site, JudgedGate(gate, report, "ab" * 32, rows), "Lê Văn Thử", AT, names).output())
    assert running_into_each_other(document) == []
    assert min(bottom for _, (_, bottom, _, _) in lines_on(document)) > 25 / 25.4 * 72, "room to sign below it"


def test_what_failed_stands_on_the_record_as_failed(school: tuple[Site, Gate]) -> None:
    """With its mark, its value and the verdict; a part of the gate by its own name."""
    report = wire.SelftestReport(
        gate="g1", version="1.2", time="2026-11-27T06:00:00Z", epoch="0190a0b0-0000-7000-8000-000000000000", rows=[], deeds=[]
    )
    rows = [AcceptanceRow("clock", "pass", "synchronised"), AcceptanceRow("green", "fail", "✗")]
    for kept, verdict in ((rows, "paper.accept_unwell"), (rows[:1], "paper.accept_well")):
        found = JudgedGate(school[1], report, "ab" * 32, kept)
        names = {"green": {lang: words(lang, "accept.green") for lang in Lang}}
        told = text_of(bytes(service_sheets.acceptance(school[0], found, "Lê Văn Thử", AT, names).output()))
        assert words(Lang.VI, verdict) in told
        assert "✓ clock synchronised" in told
        assert (f"✗ {words(Lang.VI, 'accept.green')}" in told) is (len(kept) == 2)
        assert "ab" * 32 in told.replace(" ", "")
