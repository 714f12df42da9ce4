"""Who may do what to Fairtime's own things on Windows: each security descriptor once, in SDDL, with its reason.

SY: the system, BA: administrators with full rights, IU: who is logged in at the PC, BU: users, SU: services.  ``P`` keeps out
what would be inherited.  Rights of files and pipes (winnt.h): 1 read data, 2 write data, 4 append data, which on a pipe is
``FILE_CREATE_PIPE_INSTANCE``.
"""

from __future__ import annotations

SYSTEM = "S-1-5-18"
ADMINISTRATORS = "S-1-5-32-544"
CLIENT_ACCESS = 0x0012019B
"""FILE_GENERIC_READ | FILE_GENERIC_WRITE without 4: a caller that asks for GENERIC_WRITE asks to serve the pipe, too."""

PIPE = "O:SYG:SYD:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x12019b;;;IU)"
"""The service's pipe.  Nobody but the system can make itself a thing's owner SY, so callers believe a pipe by its owner.  The
family may call; only the service may serve: with the right 4 a child's program could put an instance of its own beside it."""


def own_pipe(sid: str) -> str:
    """The pipe of a trial, and of a service that does not run as the system: for its own account and administrators."""
    return f"O:{sid}D:P(A;;GA;;;{sid})(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x12019b;;;IU)"


STATE = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
"""Ledger, audit, policy and keys: nobody else reads them; the family asks the service.  ProgramData lets every user make
folders and own them, so the owner is set, too: an owner may always change the rights (READ_CONTROL, WRITE_DAC)."""

PROGRAM = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)"
"""The program: read and run by all, written by none.  Said, not inherited: it may be put below a folder that users write to,
and the service loads its libraries from here with the system's rights."""

SERVICE = (
    "D:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)"
)
"""The service: the family sees that it runs (CC LC SW LO CR RC), and cannot start (RP), stop (WP) or change (DC WD WO) it.
It is Windows' own default, said so that a template of another program does not decide it."""
