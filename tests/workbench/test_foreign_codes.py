"""Codes that open no gate: of every class, made anew from a seed, and right where a right one must be refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from device.core.types import PAYLOAD_LIMIT_BYTES, Kind
from device.workbench.foreign_codes import foreign_codes, payment_code
from device.workbench.people import seeded

CODES = foreign_codes(seeded(7))


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Tag and value of each part of a payment code (EMVCo: two digits, two digits of length, the value)."""
    while text:
        tag, length = text[:2], int(text[2:4])
        value = text[4 : 4 + length]
        assert len(value) == length
        yield tag, value
        text = text[4 + length :]


def crc(content: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit from its definition: polynomial 0x1021, start 0xFFFF."""
    register = 0xFFFF
    for byte in content:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ 0x1021 if register & 0x8000 else register << 1) & 0xFFFF
    return register


def test_a_payment_code_is_one_that_a_bank_would_take() -> None:
    """Account and bank stand where VietQR has them, and the checksum is that of everything before it."""
    code = payment_code("0123456789", bank="970436")
    fields = dict(parts(code.decode("ascii")))
    merchant = dict(parts(fields["38"]))
    assert merchant["00"] == "A000000727"
    assert dict(parts(merchant["01"])) == {"00": "970436", "01": "0123456789"}
    assert (fields["53"], fields["58"]) == ("704", "VN")
    assert int(fields["63"], 16) == crc(code[:-4])


def test_the_same_seed_makes_the_same_codes() -> None:
    """A failure that was seen once can be seen again; another seed makes others."""
    assert foreign_codes(seeded(7)) == CODES
    assert foreign_codes(seeded(8)) != CODES


def test_each_code_has_a_name_of_its_own() -> None:
    """The demo writes it beside the frame."""
    names = [code.name for code in CODES]
    assert len(set(names)) == len(names)


def test_the_one_that_is_too_long_is_so_by_one_byte_and_no_other_is() -> None:
    """A limit is tried at its edge."""
    sizes = {code.name: len(code.payload) for code in CODES}
    assert sizes.pop("too long") == PAYLOAD_LIMIT_BYTES + 1
    assert max(sizes.values()) <= PAYLOAD_LIMIT_BYTES


@pytest.mark.parametrize("kind", [Kind.SITE_BADGE, Kind.PHONE_CODE, Kind.COMMISSIONING_ORDER, Kind.HEALTH_CERTIFICATE])
def test_there_is_one_of_each_signed_kind_that_nobody_signed(kind: Kind) -> None:
    """They look right from outside: a prefix, and Base45 after it."""
    (code,) = (code for code in CODES if code.kind is kind)
    prefix, _, rest = code.payload.partition(b":")
    assert prefix.isalnum()
    assert set(rest) <= set(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
