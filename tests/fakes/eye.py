"""An eye that sees what a test says."""

from __future__ import annotations

from collections import deque

from device.core.eye_messages import Message


class ScriptedEye:
    """`ports.Eye` without a process. Messages are received in the order in which they were sent; silence is a switch."""

    def __init__(self) -> None:
        self.alive = False
        self.closed = False
        self._messages: deque[Message] = deque()

    def send(self, *messages: Message) -> None:
        """The eye says something, which is a sign of life."""
        self.alive = True
        self._messages.extend(messages)

    def fall_silent(self) -> None:
        """The eye hangs or dies."""
        self.alive = False

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None at once when there is none, since no time passes here."""
        if timeout_s < 0:
            raise ValueError("a wait is not negative")
        return self._messages.popleft() if self._messages else None

    def close(self) -> None:
        """No more messages."""
        self.closed = True
