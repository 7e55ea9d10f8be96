"""Whether the province's record is whole: what was changed, moved, put in or taken out since it arrived, and what never came.

Run as ``python -m provisioning.province.verify --db FILE [--cert GATE=PEM ...] [--json]``.
Reads the events themselves, and believes nothing that the collector noted.
Exit codes: 0 whole, 1 not whole, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography import x509

from device.core.chain import Finding, examine_bodies, sentence
from device.edges.keys.signer import load_certificate, verify
from device.errors import GateError


@dataclass(frozen=True, slots=True)
class Epoch:
    """One file of one gate: how many events are held of it, and what is wrong with them."""

    gate: str
    epoch: str
    events: int
    findings: tuple[Finding, ...]


def epochs(database: Path, certificates: Mapping[str, x509.Certificate]) -> Iterator[Epoch]:
    """Every epoch that is held. Raises sqlite3.Error for a file that cannot be read."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as store:
        keys = store.execute("SELECT gate, epoch FROM events GROUP BY gate, epoch ORDER BY gate, min(rowid)").fetchall()
        for gate, epoch in keys:
            rows = store.execute("SELECT seq, body FROM events WHERE gate = ? AND epoch = ? ORDER BY seq", (gate, epoch))
            yield _examined(gate, epoch, rows.fetchall(), certificates.get(gate))


def _examined(gate: str, epoch: str, rows: Sequence[tuple[int, bytes]], certificate: x509.Certificate | None) -> Epoch:
    is_ours = None if certificate is None else partial(verify, certificate)
    findings, _ = examine_bodies(epoch, rows, holes=True, is_ours=is_ours)
    return Epoch(gate, epoch, len(rows), tuple(findings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each finding, and one for each epoch."""
    parser = argparse.ArgumentParser(prog="verify", description="Whether the province's record is whole.", allow_abbrev=False)
    parser.add_argument("--db", type=Path, required=True, metavar="FILE", help="the collector's file")
    parser.add_argument("--cert", action="append", default=[], metavar="GATE=PEM", help="a gate's certificate: its signatures are checked")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args(arguments)
    if any("=" not in pair for pair in options.cert):
        parser.error("--cert needs GATE=PEM")
    try:
        certificates = {gate: load_certificate(Path(pem)) for gate, _, pem in (pair.partition("=") for pair in options.cert)}
        found = list(epochs(options.db, certificates))
    except (sqlite3.Error, GateError) as error:
        print(f"verify: {options.db}: the events cannot be read: {error}", file=sys.stderr)
        return 2
    for one in found:
        if options.json:
            told = [{"seq": finding.seq, "last": finding.last, "fault": finding.fault.value} for finding in one.findings]
            print(json.dumps({"gate": one.gate, "epoch": one.epoch, "events": one.events, "findings": told}))
        else:
            for finding in one.findings:
                print(f"{one.gate} {one.epoch} {sentence(finding)}")
            print(f"{one.gate} {one.epoch}: {one.events} sự kiện · events, {len(one.findings)} lỗi · faults")
    return 1 if any(one.findings for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
