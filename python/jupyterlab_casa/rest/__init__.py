"""HTTP to the managers: thin handlers, described in ``openapi.yaml``."""
