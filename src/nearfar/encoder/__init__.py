"""Load, run and save bi-encoders."""
