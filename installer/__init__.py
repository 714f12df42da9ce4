"""What ``make package`` does: the program in one folder, and packages of it that a parent can install.

``python -m installer`` runs it.  Nothing in here is part of the product, and nothing of the product imports it.
"""
