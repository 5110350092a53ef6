"""Texts as tokens, words and code units; BM25."""
