"""Records in, clean splits and batches out."""
