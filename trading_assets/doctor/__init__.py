"""The doctor: everything that a world needs, looked at once. It brings rooms together, so it stands beside them."""
