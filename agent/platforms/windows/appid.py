"""The name by which Windows knows Fairtime's tray: toasts of a program without it are dropped in silence."""

from __future__ import annotations

APP_ID = "Fairtime.Tray"
"""The AppUserModelID of the Start menu's entry and of the tray's process."""
