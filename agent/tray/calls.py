"""What a chosen row of the menu asks of the service, as a call or as a command to type.  Pure."""

from __future__ import annotations

from agent.ipc.protocol import (
    Answer,
    Ask,
    Body,
    GetAgreement,
    GetDoctor,
    GetLearned,
    GetRecorded,
    GetWeek,
    Give,
    Release,
)
from agent.tray.menu import Act


def body_of(act: Act, text: str = "") -> Body:
    """The call that an act stands for."""
    child = act.child or None
    match act.name:
        case "ask" | "ask-why":
            return Ask(kind="time", seconds=act.seconds, text=text)
        case "ask-site":
            return Ask(kind="site", subject=act.subject, text=text)
        case "time":
            return Give(child=act.child, kind="time", seconds=act.seconds)
        case "pause":
            return Give(child=act.child, kind="pause", seconds=act.seconds)
        case "lock":
            return Give(child=act.child, kind="lock", seconds=act.seconds)
        case "release":
            return Release(grant=act.subject)
        case "grant":
            return Answer(request=act.subject, granted=True, lasting=act.lasting)
        case "refuse":
            return Answer(request=act.subject, granted=False)
        case "week" | "summary":
            return GetWeek(child=child, form="html")
        case "recorded":
            return GetRecorded(child=child)
        case "learned":
            return GetLearned(child=child)
        case "agreement" | "limits":
            return GetAgreement(child=child)
        case "protection":
            return GetDoctor()
    raise ValueError(f"no call for {act.name!r}")


def command_of(act: Act) -> str:
    """What to type in a terminal instead, where no window can be shown."""
    minutes = f"{act.seconds // 60}m"
    match act.name:
        case "ask" | "ask-why":
            return f"fairtime request {minutes if act.seconds else '15m'}"
        case "ask-site":
            return "fairtime request --site example.org"
        case "time":
            return f"fairtime grant {act.child} +{minutes}"
        case "lock":
            return f"fairtime lock {act.child}"
        case "pause" | "release" | "grant" | "refuse":
            return "fairtime grant --help"
        case "week" | "summary":
            return "fairtime summary"
        case "agreement" | "limits":
            return "fairtime agreement"
        case "learned":
            return "fairtime learn show"
        case "protection":
            return "fairtime doctor"
    return "fairtime status"
