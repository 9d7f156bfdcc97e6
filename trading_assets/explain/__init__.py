"""Why did it, or did it not, trade? One page assembled from what was stored, and from nothing else.

``answer`` brings the parts together, ``target`` finds what a person means, ``reading`` reads rows, ``page`` makes
values of them, ``render`` makes lines and tables of those, ``paper`` prints these as plain or coloured text.
"""
