"""Windows behind the interfaces of ``agent.platforms.base``."""
