"""Key files: what opens them, and what a guess costs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioning.authority import keys
from provisioning.authority.authority import Authority
from provisioning.authority.creation import make
from provisioning.authority.keys import Purpose
from provisioning.common.errors import Refused
from tests.provisioning.authority.made import NOW, PHRASE


@pytest.mark.usefixtures("slow_passphrase")
def test_a_guess_at_the_passphrase_costs_memory_and_time(tmp_path: Path) -> None:
    """64 MiB for each; and with another cost the files do not open."""
    assert keys.STRETCH_COST == 2**16
    one = make(tmp_path / "authority", "Test", PHRASE, NOW)
    assert one.signer(Purpose.ORDERS, PHRASE).sign(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "STRETCH_COST", 2**4)
        keys.stretched.cache_clear()  # what was stretched once is remembered
        with pytest.raises(Refused, match="E142"):
            one.signer(Purpose.ORDERS, PHRASE)
    keys.stretched.cache_clear()


def test_the_passphrase_alone_does_not_open_a_copied_key_file(made: Authority) -> None:
    """It is stretched first; guessing costs 64 MiB and a fraction of a second a word."""
    command = ["openssl", "pkey", "-in", str(made.folder / "orders.key.pem"), "-passin", f"pass:{PHRASE}", "-noout"]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode != 0
