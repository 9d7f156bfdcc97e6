"""Sections of ``bench_news.py``: a module for each, found by its name. Those that begin with ``_`` are no sections."""
