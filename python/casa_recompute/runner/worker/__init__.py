"""What runs inside the worker's interpreter: standard library, numpy and CASA only."""
