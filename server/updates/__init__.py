"""Uploads of components: resumable, and validated before anything is recorded."""
