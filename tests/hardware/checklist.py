"""``python -m tests.hardware.checklist run|verify``: a person with a Pi goes through the steps, and the result is signed.

Every answer is kept at once in ``--state``: after a pulled plug it goes on
where it was. A run in which a step failed or was passed over is signed as
``not passed``; nothing can make it a passed one but doing the steps.
Exit codes: 0 passed, 1 not passed, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from device.edges.keys.signer import Signer, verify
from device.edges.machine.files import replace_durably
from tests.hardware.probes import ProbeError
from tests.hardware.steps import STEPS, Step, Value

YES: Final = {"c", "có", "co", "y", "yes"}
NO: Final = {"k", "không", "khong", "n", "no"}


class Run:
    """One run over some steps, resumed from its state file."""

    def __init__(self, state: Path, steps: Sequence[Step], ask: Callable[[str], str], say: Callable[[str], None]) -> None:
        self._state = state
        self._steps = steps
        self._ask = ask
        self._say = say
        self.answers: dict[str, dict[str, Any]] = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}

    def go(self) -> None:
        """Every step that has no answer yet; what was passed over is asked again."""
        for step in self._steps:
            if self.answers.get(step.code, {}).get("value") is None:
                self._answer(step)

    def result(self) -> dict[str, Any]:
        """What is signed: each step with its value and whether it is good, and whether all are."""
        rows = [self._row(step) for step in self._steps]
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"at": at, "machine": platform.platform(), "passed": all(row["good"] for row in rows), "steps": rows}

    def _row(self, step: Step) -> dict[str, Any]:
        value = self.answers.get(step.code, {}).get("value")
        return {"code": step.code, "value": value, "unit": step.unit, "good": value is not None and step.good(value)}

    def _answer(self, step: Step) -> None:
        self._say(f"\n[{step.code}] {step.vi} · {step.en}")
        value = self._probed(step) if step.probe is not None else self._asked(step)
        self.answers[step.code] = {"value": value}
        replace_durably(self._state, json.dumps(self.answers, ensure_ascii=False).encode())
        if value is not None:
            self._say(f"  {value} {step.unit} {'ĐẠT · good' if step.good(value) else 'KHÔNG ĐẠT · not good'}")

    def _probed(self, step: Step) -> Value | None:
        assert step.probe is not None
        try:
            return step.probe()
        except (ProbeError, OSError, ValueError, RuntimeError) as error:
            self._say(f"  không đo được · could not be measured: {error}")
            return None

    def _asked(self, step: Step) -> Value | None:
        """A number where the step has a unit or bounds, else yes or no; an empty answer passes the step over."""
        number = bool(step.unit) or step.limit != (None, None)
        while True:
            answer = self._ask("  số · number: " if number else "  có/không · yes/no: ").strip().lower()
            if not answer:
                return None
            if number:
                try:
                    return float(answer.replace(",", "."))
                except ValueError:
                    continue
            if answer in YES | NO:
                return answer in YES


def sign(result: dict[str, Any], key: Path) -> dict[str, Any]:
    """The result with a signature over its canonical form by the gate's own key, or another P-256 or Ed25519 key."""
    signer = Signer(key)
    return {"result": result, "algorithm": signer.algorithm, "signature": signer.sign(canonical(result))}


def is_signed(document: dict[str, Any], certificate: Path) -> bool:
    """Whether the document is as the holder of this certificate signed it, and says of itself what its steps say."""
    result = document.get("result", {})
    honest = result.get("passed") == all(row["good"] for row in result.get("steps", [])) and bool(result.get("steps"))
    holder = x509.load_pem_x509_certificate(certificate.read_bytes())
    return honest and verify(holder, canonical(result), str(document.get("signature", "")))


def canonical(result: dict[str, Any]) -> bytes:
    """The one form of a result that is signed."""
    return json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def main(arguments: Sequence[str] | None = None, ask: Callable[[str], str] = input) -> int:
    """Run or verify."""
    parser = argparse.ArgumentParser(prog="python -m tests.hardware.checklist", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="go through the steps, and sign what came of them")
    run.add_argument("--key", type=Path, required=True, help="PEM with the gate's private key")
    run.add_argument(
        "--state", type=Path, default=Path("hardware-state.json"), help="where answers are kept (default: hardware-state.json)"
    )
    run.add_argument("--out", type=Path, default=Path("hardware-result.json"), help="the signed result (default: hardware-result.json)")
    check = verbs.add_parser("verify", help="check a signed result")
    check.add_argument("document", type=Path)
    check.add_argument("--cert", type=Path, required=True, help="PEM with the gate's certificate")
    options = parser.parse_args(arguments)
    if options.verb == "verify":
        document = json.loads(options.document.read_text(encoding="utf-8"))
        good = is_signed(document, options.cert)
        _say("chữ ký đúng · signed" if good else "chữ ký sai · not signed by this gate, or altered")
        return 0 if good and document["result"]["passed"] else 1
    work = Run(options.state, STEPS, ask, _say)
    work.go()
    result = work.result()
    replace_durably(options.out, json.dumps(sign(result, options.key), ensure_ascii=False, indent=1).encode())
    _say(f"\n{'ĐẠT · PASSED' if result['passed'] else 'KHÔNG ĐẠT · NOT PASSED'}: {options.out}")
    return 0 if result["passed"] else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
