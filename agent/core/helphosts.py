"""Sites of help lines: open whatever a policy or a list says, in no child's plan as a rule, and recorded nowhere.

In the program and not in a list, so that no list that is handed in can take one away.  Each is a host of its own, never a
whole provider.  The sources are the members that Child Helpline International names, and the lines' own sites.
"""

from __future__ import annotations

HELP_HOSTS: tuple[str, ...] = (
    "childhelplineinternational.org",
    "findahelpline.com",
    "befrienders.org",
    # Europe
    "116111.eu",
    "116111.pl",
    "allo119.gouv.fr",
    "3018.fr",
    "anar.org",
    "bornetelefonen.dk",
    "bornsvilkar.dk",
    "bris.se",
    "childline.ie",
    "childline.org.uk",
    "hamogelo.gr",
    "iacrianca.pt",
    "kek-vonal.hu",
    "kindertelefoon.nl",
    "linkabezpeci.cz",
    "mll.fi",
    "nspcc.org.uk",
    "nummergegenkummer.de",
    "papyrus-uk.org",
    "rataufdraht.at",
    "samaritans.org",
    "telefonoazzurro.it",
    "telefonulcopilului.ro",
    "147.ch",
    # The Americas
    "988lifeline.org",
    "childhelphotline.org",
    "crisistextline.org",
    "kidshelpphone.ca",
    "missingkids.org",
    "rainn.org",
    "thetrevorproject.org",
    # Asia, Africa, Oceania
    "1098.in",
    "childlineindia.org",
    "childline.or.jp",
    "childlinesa.org.za",
    "kidshelpline.com.au",
    "youthline.co.nz",
)
