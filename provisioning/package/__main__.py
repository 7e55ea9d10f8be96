"""``python -m provisioning.package``: build, sign and verify the gate's Debian package.

Exit codes: 0 good, 1 it could not be done, 2 usage. What was made is printed, one path a line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from device.edges.keys.release import load_keys, verify
from device.errors import Unsigned
from provisioning.package.build import BuildError, build, source
from provisioning.package.sign import BadKeyError, load, public_key, signature
from provisioning.package.wheelhouse import TARGETS, WheelhouseError


def main() -> int:
    """Run one verb."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.package", description="The gate's Debian package.", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = verbs.add_parser("build", help="build gate_VERSION_ARCH.deb, the same bytes each time")
    made.add_argument("--arch", action="append", choices=sorted(TARGETS), help="architecture (default: all)")
    made.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="folder for the packages (default: dist)")
    signed = verbs.add_parser("sign", help="sign packages: PACKAGE.sig beside each")
    signed.add_argument("packages", type=Path, nargs="+", metavar="PACKAGE")
    shown = verbs.add_parser("public-key", help="print the public key, for /etc/gate/release-keys on each gate")
    checked = verbs.add_parser("verify", help="check PACKAGE.sig as a gate does")
    checked.add_argument("packages", type=Path, nargs="+", metavar="PACKAGE")
    checked.add_argument("--keys", type=Path, required=True, metavar="FOLDER", help="folder with public keys (*.pub)")
    for verb in (signed, shown):
        verb.add_argument("--key", type=Path, required=True, metavar="PEM", help="Ed25519 secret key")
    options = parser.parse_args()
    try:
        VERBS[options.verb](options)
    except (BuildError, WheelhouseError, BadKeyError, Unsigned, OSError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


def _build(options: argparse.Namespace) -> None:
    project = source()
    for architecture in options.arch or sorted(TARGETS):
        print(build(project, architecture, options.out))


def _sign(options: argparse.Namespace) -> None:
    key = load(options.key)
    for package in options.packages:
        print(signature(key, package))


def _public_key(options: argparse.Namespace) -> None:
    sys.stdout.buffer.write(public_key(load(options.key)))


def _verify(options: argparse.Namespace) -> None:
    keys = load_keys(options.keys)
    for package in options.packages:
        verify(package.read_bytes(), Path(f"{package}.sig"), keys)
        print(f"{package}: good")


VERBS = {"build": _build, "sign": _sign, "public-key": _public_key, "verify": _verify}


if __name__ == "__main__":
    sys.exit(main())
