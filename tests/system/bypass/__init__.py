"""Known ways around a limit, each run for real by a child's account against the real service."""
