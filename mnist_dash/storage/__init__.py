"""Model bases: folders and Cloud Storage buckets."""
