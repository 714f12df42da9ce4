"""The week in review: the same page for guardian and child."""
