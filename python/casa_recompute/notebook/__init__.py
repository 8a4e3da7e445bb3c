"""Cells -> graph -> staleness -> plan: pure functions over the cells' sources, what the ledger recorded, and the present.

Nothing here executes a cell, writes a file or knows Jupyter.
"""
