"""Read, load and check a SavedModel."""
