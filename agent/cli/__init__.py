"""``fairtime``: one module per theme; heavy imports inside commands."""
