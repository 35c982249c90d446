"""A detector as a service over HTTP (FastAPI)."""
