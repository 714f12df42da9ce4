"""Judge an interpreter by what it runs: pure, and the same for every system."""
