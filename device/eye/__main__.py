"""The eye without the rest of the command line: ``python -m device.eye --config FILE``.

This is what a gate starts for itself. It imports nothing that an eye does not
need, which on a Pi saves a second of every restart.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from device.errors import ConfigError, GateError
from device.eye.main import main


def _run() -> int:
    parser = argparse.ArgumentParser(prog="python -m device.eye", description="The eye of a gate, in its own process.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the gate's configuration")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("LOG_LEVEL", "INFO").upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        return main(options.config)
    except GateError as error:
        sys.stderr.write(f"eye: {error}\n  {error.advice}\n")
        return 2 if isinstance(error, ConfigError) else 1


if __name__ == "__main__":
    sys.exit(_run())
