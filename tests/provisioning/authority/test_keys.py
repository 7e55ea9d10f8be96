"""Key files: what opens them, and what a guess costs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519

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


def test_each_site_has_a_key_of_its_own_and_the_same_one_always() -> None:
    """Derived: nobody keeps any of them, and one does not tell another."""
    master = x25519.X25519PrivateKey.generate()
    one, again, other = (keys.site_key(master, site) for site in ("s1", "s1", "s2"))
    assert one == again != other
    assert len(one) == 32
    assert keys.site_key(x25519.X25519PrivateKey.generate(), "s1") != one


@pytest.mark.parametrize("kind", ["rsa", "unlocked"])
def test_a_key_file_that_the_authority_never_wrote_is_no_key(kind: str) -> None:
    """Of another kind, or lying open."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    lock = serialization.BestAvailableEncryption(b"lock") if kind == "rsa" else serialization.NoEncryption()
    content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    with pytest.raises(TypeError):
        keys.opened(content, b"lock")
