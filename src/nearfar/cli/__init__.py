"""Parse, build a config, make one library call."""
