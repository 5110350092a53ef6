"""Codebooks learnt for retrieval, in torch; what is fitted needs none."""
