"""Packaged defaults: complete configuration files, each key with its default and a comment."""
