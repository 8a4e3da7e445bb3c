"""Cells -> graph -> staleness -> plan: pure functions over the cells' sources, what the ledger recorded, the present.

Nothing here executes a cell or knows Jupyter. rerun.py alone changes anything: it brings products to their places.
"""
