"""Annotations that other tools wrote, as masks, and masks as annotations that other tools read; never MXNet."""
