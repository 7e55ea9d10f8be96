"""What the technician's and the province's tool refuses: a code that stands in the catalogue and on the printed card, and the facts."""

from __future__ import annotations


class Refused(Exception):
    """Something cannot be done. ``code`` names the words for it in the catalogue; ``facts`` fill them."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts
