"""Signed files: who may sign a policy, and whether this one may be believed."""
