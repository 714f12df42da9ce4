"""What the doctor asks Windows itself: encryption of the drive, the guest account, who may write where.

Each answer is ``None`` where Windows does not tell.  The first takes some tenths of a second.
"""

from __future__ import annotations

import logging
import os
import sys

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.healthfacts is for Windows")

import pywintypes
import win32com.client
import win32net
import win32netcon
import win32security

from agent.platforms.windows import com

log = logging.getLogger(__name__)

GUEST = 501
"""The last part of the guest account's SID, whatever it is called."""
_VOLUMES = r"winmgmts:\\.\root\CIMV2\Security\MicrosoftVolumeEncryption"
_ALL = (
    win32security.OWNER_SECURITY_INFORMATION
    | win32security.GROUP_SECURITY_INFORMATION
    | win32security.DACL_SECURITY_INFORMATION
)


def encrypted() -> bool | None:
    """Whether the system's drive is protected (Win32_EncryptableVolume; only administrators are told)."""
    drive = os.environ.get("SYSTEMDRIVE", "C:")
    with com.begun():
        try:
            volumes = win32com.client.GetObject(_VOLUMES)
            query = f"SELECT ProtectionStatus FROM Win32_EncryptableVolume WHERE DriveLetter = '{drive}'"
            for volume in volumes.ExecQuery(query):
                status = int(volume.ProtectionStatus)
                return None if status == 2 else status == 1  # 2: locked, so it cannot be told
        except (pywintypes.com_error, AttributeError) as error:
            log.info("encryption of %s cannot be told: %s", drive, error)
    return None


def guest_on() -> bool | None:
    """Whether the guest account is switched on."""
    try:
        people, _, _ = win32net.NetUserEnum(None, 20, win32netcon.FILTER_NORMAL_ACCOUNT)
    except pywintypes.error as error:
        log.info("accounts cannot be listed: %s", error)
        return None
    for one in people:
        if int(one["user_id"]) == GUEST:
            return not int(one["flags"]) & win32netcon.UF_ACCOUNTDISABLE
    return False


def descriptor(path: str) -> str | None:
    """A file's or folder's owner and DACL as SDDL; ``None`` when there is none, or it cannot be read."""
    try:
        found = win32security.GetFileSecurity(path, _ALL)
        return str(win32security.ConvertSecurityDescriptorToStringSecurityDescriptor(found, 1, _ALL))
    except pywintypes.error:
        return None
