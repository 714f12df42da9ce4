"""What "Get help" shows: never blocked, never timed, never recorded.  Facts a child may need on any PC, without a network."""

from __future__ import annotations

from agent.words import Words


def help_text(words: Words) -> str:
    """The page, in the reader's language.

    116 111 is the number for child helplines reserved across the European Union (Commission Decision 2007/116/EC).
    """
    return "\n\n".join(
        (
            words(
                "If something on the screen, at home or at school worries you, frightens you or hurts you, it is not your "
                "fault. You may always talk about it."
            ),
            words("Tell a grown-up you trust: someone at home, a teacher, a neighbour, a doctor."),
            words(
                "Or talk to a child helpline. It is free, and they will not be cross with you:\n"
                "   In most countries of Europe: call 116 111\n"
                "   In the United States and Canada: call or text 988\n"
                "   In the United Kingdom: call 0800 1111\n"
                "   In Japan: call 0120-99-7777\n"
                "   Everywhere else: childhelplineinternational.org lists the helpline of your country"
            ),
            words("If someone is in danger now, call the emergency number: 112, 911, 999, or your country's own."),
            words(
                "Fairtime does not record that you opened this page. Helpline sites are never blocked and never timed."
            ),
        )
    )
