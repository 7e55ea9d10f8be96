"""``python -m provisioning.package``: build, sign and verify the gate's Debian package.

Exit codes: 0 good, 1 it could not be done, 2 usage. What was made is printed, one path a line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from provisioning.package.build import BuildError, build, source
from provisioning.package.wheelhouse import TARGETS, WheelhouseError


def main() -> int:
    """Run one verb."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.package", description="The gate's Debian package.", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = verbs.add_parser("build", help="build gate_VERSION_ARCH.deb, the same bytes each time")
    made.add_argument("--arch", action="append", choices=sorted(TARGETS), help="architecture (default: all)")
    made.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="folder for the packages (default: dist)")
    options = parser.parse_args()
    try:
        project = source()
        for architecture in options.arch or sorted(TARGETS):
            print(build(project, architecture, options.out))
    except (BuildError, WheelhouseError, OSError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
