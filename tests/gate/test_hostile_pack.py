"""Codes made to break something, held up to a whole gate: each is decided, kept as data, and echoed nowhere."""

from __future__ import annotations

import base64
import logging
import zlib
from pathlib import Path
from typing import Any, Final

import base45
import cbor2
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from PIL import Image

from device import config as configuration
from device.gate import Gate
from device.workbench.scenes import Pose, scene
from device.workbench.stage import Stage
from tests.core.credentials.signed_kit import certificate, token
from tests.desk import Desk
from tests.gate.test_gate import turning, until

MARK: Final = b"XYZZY"
"""In every code: where it turns up, something was echoed."""
P256 = ec.generate_private_key(ec.SECP256R1())
BADGES = ed25519.Ed25519PrivateKey.generate()


def card(name: str, number: str = "064090001234") -> bytes:
    """A citizen card with this name."""
    return f"{number}||{name}|01011990|Nam|Pleiku|15042021".encode()


PACK: Final[dict[str, bytes]] = {
    "sql": card("XYZZY'; DROP TABLE event; --"),
    "sql in a number": b"064090001234' OR '1'='1|XYZZY|A|01011990|Nam|x|15042021",
    "shell": card("$(touch /tmp/XYZZY); `id` | sh"),
    "json": card('XYZZY","decision":"accept","x":"'),
    "json object": b'{"data":{"hdr":{"t":"icao.vacc"},"x":"XYZZY"}}',
    "deep json": b'{"data":' + b"[" * 900 + b'"XYZZY"',
    "log lines": card("XYZZY\nERROR gate: wiped\r\n"),
    "terminal": card("\x1b]0;XYZZY\x07\x1b[2J"),
    "bidi": card("XYZZY\u202enA"),
    "homoglyph": card("XYZZY Ng\u0443\u0435n"),
    "nul": card("XYZZY\x00rest"),
    "bom": b"\xef\xbb\xbf" + card("XYZZY"),
    "lone bom": b"\xef\xbb\xbf\xef\xbb\xbfXYZZY",
    "not utf-8": b"\xff\xfeXYZZY\x80",
    "overlong utf-8": b"\xc0\xafXYZZY",
    "format string": b"%s%n{0.__class__}XYZZY",
    "path": b"../../../../etc/passwd\x00XYZZY",
    "url": b"https://evil.example/?q=XYZZY",
    "script": card("<script>XYZZY</script>"),
    "spreadsheet": card("=cmd|' /C calc'!XYZZY"),
    "zero width": card("XYZZY\u200b\u200d"),
    "many marks": card("XYZZY" + "a" + "\u0301" * 300),
    "largest": b"XYZZY" + b"a" * 2_290,
    "badge of noise": b"G1:" + base45.b45encode(b"XYZZY" * 30),
    "deep cbor": b"G1:" + base45.b45encode(b"\x81" * 500 + b"\x45XYZZY"),
    "bomb": b"HC1:" + base45.b45encode(zlib.compress(b"XYZZY" + bytes(900_000), 9)),
    "nan": certificate(P256, alg=-7, expires_s=float("nan"), content={"XYZZY": 1}),
    "infinity": certificate(P256, alg=-7, issued_s=float("inf"), content={"XYZZY": 1}),
    "signed nonsense": b"G1:" + base45.b45encode(token(BADGES, cbor2.dumps({2: "XYZZY", 4: float("nan")}), {1: -8}, {4: b"\x01"})),
    "hex name": b"1234567890|58595A5A59|01/01/1990|1|-|-|-|-|-|-|-|-|-|-|-|-|$",
    "odd hex": b"1234567890|58595A5A5|XYZZY|1|-|-|-|-|-|-|-|-|-|-|-|-|$",
}


def spki(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """A public key as a list of keys has it."""
    raw = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


def test_the_pack_is_decided_kept_as_data_and_echoed_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through the real eye, judge and record; the gate serves on."""
    caplog.set_level(logging.DEBUG)
    desk = Desk()
    times = {"not_before": "2020-01-01T00:00:00Z", "not_after": "2099-01-01T00:00:00Z"}
    keys = [
        {"use": "badges", "kid": "01", "key": spki(BADGES), **times},
        {"use": "health", "kid": b"12345678".hex(), "key": spki(P256), **times},
    ]
    told = {"type": "vn.gate.trust.v1", "gate": "all", "issued": "2026-01-01T00:00:00Z", "expires": "2099-01-01T00:00:00Z", "version": 1}
    (tmp_path / "keys.json").write_bytes(desk.sign({**told, "keys": keys}))
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, payload in enumerate(PACK.values()):
        px, size = (4, (900, 900)) if len(payload) < 1_500 else (5, (1_100, 1_100))
        picture = scene([payload], Pose(px_per_module=px), np.random.default_rng(number), size)
        Image.fromarray(picture).save(frames / f"{number:02}.png")
    accept = ["citizen_card", "national_qr", "health_insurance", "site_badge", "phone_code", "health_certificate"]
    sections: dict[str, dict[str, Any]] = {
        "trust": {"province": str(desk.write_pem(tmp_path / "orders.pem")), "keys": str(tmp_path / "keys.json"), "lists": "lists"},
        "policy": {"accept": accept, "duplicate_window_s": 0.0},
        "camera": {"fps": 4.0, "loop": False},
        "eye": {"cpu_share": 1.0},
    }
    stage = Stage(tmp_path / "gate", f"folder:{frames}", None, sections)
    with turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate:
        assert until(lambda: gate.loop.source_ended, 40)
        tally = gate.loop.tally
        assert tally.decisions >= len(PACK) - 2, tally.decisions
        assert tally.recorded == tally.decisions
        assert tally.accepted + tally.rejected + tally.referred == tally.decisions
        assert gate.eye.stats()["restarts"] == 0
        files = [path for path in stage.folder.rglob("*") if path.is_file()]
        for path in files:
            assert MARK not in path.read_bytes(), path
        assert MARK.decode() not in str(gate.loop.last)
    assert MARK.decode() not in caplog.text
    assert "\x1b" not in caplog.text
    assert not Path("/tmp/XYZZY").exists()  # noqa: S108 - where the code wanted it
