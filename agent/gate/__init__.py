"""The exec gate: a process of its own that answers the kernel whether a child's program may start.

It alone holds the fanotify descriptor, and never forks: when it dies, the last descriptor closes and the kernel lets
programs start, so that no death of ours can hang a PC.  It imports nothing of the rest, looks nothing up and writes nothing
while somebody's ``exec`` waits.  The service's side is ``agent.platforms.linux.gatekeeper``; both speak ``wire``.
"""
