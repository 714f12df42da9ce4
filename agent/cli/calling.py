"""One call to the service, on a connection that is closed after it."""

from __future__ import annotations

from contextlib import closing

from agent.ipc.answers import Result
from agent.ipc.client import Client
from agent.ipc.protocol import Body


def ask(body: Body) -> Result:
    """The service's answer; raises what it refuses with, or ``ConnectionFailed``."""
    with closing(Client()) as client:
        return client.call(body)
