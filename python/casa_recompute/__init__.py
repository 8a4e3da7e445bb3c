"""Memoised CASA tasks: the core that knows no notebook, no kernel and no server."""
