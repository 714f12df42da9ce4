"""Frozen values that everyone speaks: no behaviour beyond what a value knows about itself, no I/O."""
