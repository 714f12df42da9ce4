"""One child's rules for browsers as Windows keeps them: keys and values below ``Software\\Policies`` of that child's hive.

Pure, from the same texts as on every other system (``filter.chromium``, ``filter.firefox``).  Each child has a hive, so that
Firefox, too, can be told of one child alone.  Chromium's family takes a list as a key with values ``1``, ``2`` …, and what
has parts as JSON in a string (its documentation of policies on Windows); Firefox takes both as keys below keys
(WindowsGPOParser: a key whose first value is named ``1`` is a list).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Literal

from agent.filter import chromium, firefox
from agent.filter.chromium import NO_MEMBERS, Brand
from agent.model.site import SitePlan
from agent.platforms.windows.values import Node, Value, number, text

Kind = Brand | Literal["firefox"]
POLICIES = r"Software\Policies"
"""A standard account may read what is here in its own hive, and change nothing of it."""
KEYS: Mapping[str, Kind] = {
    r"Google\Chrome": "chrome",
    "Chromium": "chromium",
    r"Microsoft\Edge": "edge",
    r"BraveSoftware\Brave": "brave",
    "Vivaldi": "vivaldi",
    r"Opera Software\Opera": "opera",
    r"Mozilla\Firefox": "firefox",
}
"""Where each browser looks, below ``POLICIES``, installed or brought on a stick."""
NAMES: Mapping[Kind, str] = {
    "chrome": "Chrome", "chromium": "Chromium", "edge": "Edge", "brave": "Brave", "vivaldi": "Vivaldi", "opera": "Opera",
    "firefox": "Firefox",
}  # fmt: skip
ASK = "Ask for a site"
NO_EXTENSION = "Extensions are added by a guardian."


def rules(plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS) -> dict[str, Node]:
    """What belongs in each of ``KEYS`` for the child with this plan."""
    return {key: rules_for(kind, plan, members) for key, kind in KEYS.items()}


def rules_for(kind: Kind, plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS) -> Node:
    if kind == "firefox":
        return _keyed(firefox.policy([plan], members, ASK, NO_EXTENSION))
    return _listed(chromium.policy(plan, members, kind, ASK))


def _listed(policy: Mapping[str, object]) -> Node:
    values: dict[str, Value] = {}
    keys: dict[str, Node] = {}
    for name, setting in policy.items():
        if isinstance(setting, list) and all(isinstance(one, str) for one in setting):
            keys[name] = _numbered(setting)
        elif isinstance(setting, (list, dict)):
            values[name] = text(json.dumps(setting, ensure_ascii=False))
        else:
            values[name] = _value(setting)
    return Node(values, keys)


def _keyed(policy: Mapping[str, object]) -> Node:
    values: dict[str, Value] = {}
    keys: dict[str, Node] = {}
    for name, setting in policy.items():
        if isinstance(setting, dict):
            keys[name] = _keyed(setting)
        elif isinstance(setting, list):
            # Without one entry a key would be an object to Firefox, and the whole policy wrong; no list is as good.
            if setting:
                keys[name] = _numbered(setting)
        else:
            values[name] = _value(setting)
    return Node(values, keys)


def _numbered(setting: list[object]) -> Node:
    if setting and isinstance(setting[0], dict):
        return Node({}, {str(at): _keyed(one) for at, one in enumerate(setting, 1) if isinstance(one, dict)})
    return Node({str(at): _value(one) for at, one in enumerate(setting, 1)})


def _value(setting: object) -> Value:
    return number(int(setting)) if isinstance(setting, int) else text(str(setting))
