"""The bill of materials in CycloneDX JSON: what is inside, from where, under which licence, and what needs what.

The same contents give the same bytes: the serial number is made of them, and the time is that of the last commit.
"""

from __future__ import annotations

import datetime as dt
import uuid

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from installer.contents import Contents, Part

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "fairtime bill of materials")
_TYPES = {"python": "pypi", "python-itself": "generic", "system": "deb"}


def document(contents: Contents, epoch: int) -> str:
    """The document; ``epoch`` in seconds."""
    own = Component(
        name="fairtime",
        version=contents.version,
        type=ComponentType.APPLICATION,
        bom_ref="fairtime",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )
    parts = {part.name: _component(part) for part in contents.parts}
    identity = "\n".join(f"{part.kind} {part.name} {part.version}" for part in contents.parts)
    bom = Bom(components=parts.values(), serial_number=uuid.uuid5(_NAMESPACE, f"{contents.version}\n{identity}"))
    bom.metadata.component = own
    bom.metadata.timestamp = dt.datetime.fromtimestamp(epoch, dt.UTC)
    bom.register_dependency(own, parts.values())
    for part in contents.parts:
        bom.register_dependency(parts[part.name], [parts[name] for name in part.requires if name in parts])
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1) + "\n"


def _component(part: Part) -> Component:
    named = part.licence != "see its text"
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.PLATFORM if part.kind == "python-itself" else ComponentType.LIBRARY,
        bom_ref=f"{part.kind}:{part.name}@{part.version}",
        purl=PackageURL(
            _TYPES[part.kind],
            "debian" if part.kind == "system" else None,
            part.name.partition(" ")[0].lower(),
            part.version,
        ),
        licenses=[LicenseFactory().make_from_string(part.licence)] if named else None,
    )
