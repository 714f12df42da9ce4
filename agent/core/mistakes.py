"""What msgspec says of a family file, in words for a guardian: the line, the key, what is wrong there, what to write.

msgspec names a place as ``$.children[0].limits.budget[...]`` and a reason in Python's words; the first stands where one
key of a table cannot be named, so the key is found by trying them; the second is told again with the model's own schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import msgspec

from agent.core.lines import line_of
from agent.errors import PolicyError
from agent.model.policy import Day, Family

Path = list[str | int]

_PLACE = re.compile(r" - at (?P<key>`key` in )?`(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_ANY = "…"
_EXAMPLES = "See the examples in policies/examples and the schema in policies/schema."
_TYPES = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list in square brackets",
    "object": "a table in curly brackets",
    "date": "a date without quotes",
    "time": "a time without quotes",
    "datetime": "a date and time without quotes",
}
_SHAPES = {
    "str": "Put it in quotes.",
    "int": "Write it without quotes.",
    "bool": "Write true or false, without quotes.",
    "array": "Put it in square brackets, with commas between the entries: [“…”, “…”].",
    "object": "Put it in curly brackets, such as { all = … }, or under a [heading] of its own.",
}
_PATTERNS = {
    'such as "1h30m"': (
        "a length of time",
        "Write hours, minutes or seconds in quotes, such as “1h30m”, “45m” or “60s”.",
    ),
    'such as "15:00-18:30"': ("hours", "Write two times of day in quotes, such as “15:00-18:30”."),
    'such as "03:00"': ("a time of day", "Write hours and minutes in quotes, such as “03:00”."),
    "^\\d{4}-\\d{2}-\\d{2}$": ("a date", "Write year-month-day in quotes, such as “2026-12-24”."),
    "^[0-9a-f]{64}$": ("a SHA-256", "Write its 64 digits and small letters in quotes; “sha256sum FILE” prints them."),
    "^[a-z]{2,3}(-[A-Z]{2})?$": ("a language", "Write its short name in quotes, such as “en” or “pt-BR”."),
}


def explained(message: str, text: str, tree: object, name: str) -> PolicyError:
    """A validation error of msgspec as a ``PolicyError`` with file, line, key path, reason and advice."""
    found = _PLACE.search(message)
    reason = message[: found.start()] if found else message
    steps = _STEP.findall(found["path"] if found else "")
    path: Path = [key or (_ANY if index == "..." else int(index)) for key, index in steps]
    path = _named(path, tree, message)
    title, advice, last = _plainly(reason, path, bool(found and found["key"]))
    path += last
    line = line_of(text, path)
    keys = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    where = name + (f", line {line}" if line else "") + (f", {keys}" if keys else "")
    return PolicyError(title, advice, where=where)


def _plainly(reason: str, path: Sequence[str | int], of_key: bool) -> tuple[str, str, Path]:
    """Title and advice for a reason, and what it adds to the path."""
    place = _schema_at(path)
    for pattern, tell in _REASONS:
        match = pattern.match(reason)
        if match:
            return tell(match, place, of_key)
    return reason.rstrip("."), _EXAMPLES, []


def _unknown(match: re.Match[str], place: dict[str, Any], of_key: bool) -> tuple[str, str, Path]:
    key, known = match[1], list(place.get("properties", {}))
    import difflib  # here: the service never guesses what was meant, and need not hold it

    near = difflib.get_close_matches(key, known, n=1)
    if near:
        advice = f"Did you mean “{near[0]}”?"
    elif key in msgspec.json.schema(Family)["$defs"]["Limits"]["properties"]:
        advice = "It belongs under [children.limits] or in a profile."
    else:
        advice = f"Remove it. What may stand here: {', '.join(known)}."
    return f"There is no setting called “{key}” here", advice, [key]


def _missing(match: re.Match[str], place: dict[str, Any], of_key: bool) -> tuple[str, str, Path]:
    return f"“{match[1]}” is missing", f"Add {match[1]} = … there.", []


def _choice(match: re.Match[str], place: dict[str, Any], of_key: bool) -> tuple[str, str, Path]:
    value = match[1].strip("'")
    choices = list(get_args(Day)) if of_key else [str(one) for one in place.get("enum", [])]
    import difflib  # here: the service never guesses what was meant, and need not hold it

    near = difflib.get_close_matches(value, choices, n=1)
    guess = f"Did you mean “{near[0]}”? " if near else ""
    what = "is no day here" if of_key else "is not one of the choices here"
    return f"“{value}” {what}", f"{guess}Write one of {', '.join(choices)}.", [value] if of_key else []


def _pattern(match: re.Match[str], place: dict[str, Any], of_key: bool) -> tuple[str, str, Path]:
    told = _PATTERNS.get(place.get("description", "")) or _PATTERNS.get(place.get("pattern", ""))
    if told is None:
        return "This is not written as it should be", _EXAMPLES, []
    return f"This is not {told[0]}", told[1], []


def _type(match: re.Match[str], place: dict[str, Any], of_key: bool) -> tuple[str, str, Path]:
    want = next(one for one in match[1].split(" | ") if one != "null")
    told = _PATTERNS.get(place.get("description", "")) or _PATTERNS.get(place.get("pattern", ""))
    title = f"Here stands {_TYPES.get(match[2], match[2])} instead of {_TYPES.get(want, want)}"
    return title, told[1] if told else _SHAPES.get(want, _EXAMPLES), []


def _size(match: re.Match[str], place: dict[str, Any], of_key: bool) -> tuple[str, str, Path]:
    least, number = match[2] == ">=", int(match[3])
    if match[1] == "int":
        return "This number is out of range", f"Write {'at least' if least else 'at most'} {number}.", []
    what = "letters" if match[1] == "str" else "entries"
    if least and number == 1:
        return "This is empty", "Write something there, or remove the line.", []
    return (
        "This is too short" if least else "This is too long",
        f"{'At least' if least else 'At most'} {number} {what}.",
        [],
    )


_REASONS: tuple[tuple[re.Pattern[str], Callable[..., tuple[str, str, Path]]], ...] = (
    (re.compile(r"Object contains unknown field `([^`]*)`"), _unknown),
    (re.compile(r"Object missing required field `([^`]*)`"), _missing),
    (re.compile(r"Invalid enum value (.*)"), _choice),
    (re.compile(r"Expected `str` matching regex"), _pattern),
    (re.compile(r"Expected `([^`]*)`, got `([^`]*)`"), _type),
    (re.compile(r"Expected `(\w+)`(?: of length)? (>=|<=) (\d+)"), _size),
)


def _named(path: Path, tree: object, message: str) -> Path:
    """The path with the keys that msgspec left out: the first that alone gives the same error."""
    if _ANY not in path:
        return path
    at = path.index(_ANY)
    table = _value(tree, path[:at])
    if isinstance(table, dict):
        for key in table:
            try:
                msgspec.convert(_only(tree, path[:at], key), Family, strict=True)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    return _named([*path[:at], key, *path[at + 1 :]], tree, message)
    return path


def _value(tree: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _only(tree: Any, path: Sequence[str | int], key: str) -> Any:
    """The tree with only one key left in the table at ``path``."""
    if not path:
        return {key: tree[key]}
    step, rest = path[0], path[1:]
    inner = _only(tree[step], rest, key)
    if isinstance(step, int):
        return [*tree[:step], inner, *tree[step + 1 :]]
    return {**tree, step: inner}


def _schema_at(path: Sequence[str | int]) -> dict[str, Any]:
    """The model's schema where ``path`` leads; empty when it leads out of it."""
    whole = msgspec.json.schema(Family)
    places: list[dict[str, Any]] = [whole]
    for step in path:
        places = [
            inner
            for place in places
            for one in _alternatives(place, whole)
            for inner in [_inside(one, step)]
            if inner is not None
        ]
    return next((one for place in places for one in _alternatives(place, whole) if one.get("type") != "null"), {})


def _alternatives(place: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in place:
        yield from _alternatives(whole["$defs"][place["$ref"].rpartition("/")[2]], whole)
    elif "anyOf" in place:
        for one in place["anyOf"]:
            yield from _alternatives(one, whole)
    else:
        yield place


def _inside(place: dict[str, Any], step: str | int) -> dict[str, Any] | None:
    if isinstance(step, int):
        return place.get("items")
    named = place.get("properties", {}).get(step)
    if named is not None:
        return named  # type: ignore[no-any-return]  # a schema is plain data
    more = place.get("additionalProperties")
    return more if isinstance(more, dict) else None
