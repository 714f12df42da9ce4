"""The command that is a job of the service's (``agent.service.job``); by itself, because one is started for every signature."""

from __future__ import annotations

import argparse

from agent.service import job


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("job")
    one.add_argument("name")
    one.set_defaults(run=lambda options: job.serve(options.name))
