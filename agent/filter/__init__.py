"""The resolver: a process of its own, without rights, that answers each child's questions for names from that child's plan.

It reads hostile packets from both sides, so it may do nothing else: it opens no file, starts no program, and gets what it
needs over ``control``.  What it may answer comes from ``core.sites``; it has no rules of its own.
"""
