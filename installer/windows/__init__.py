"""The installer for Windows: the NSIS script, and what builds it."""
