"""Linux: the only package that touches it.  ``host.LinuxHost`` for the service, ``desk.LinuxDesk`` for the tray."""
