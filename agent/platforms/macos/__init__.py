"""macOS: thin over psutil, the system's documented commands and property lists."""
