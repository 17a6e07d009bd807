"""Networks of anybody's own as search spaces: `--search-space elastic:NAME`.

A network is traced (`trace`, by the `operations` that have blocks), its layers become `units`, the `channels` that a
sum or a depthwise convolution ties are found, and the residual blocks that may be left out (`depth`); `rules` say what
of it is elastic, and all that becomes decisions and sites (`space`). `weights` starts a supernet from the network's
own.
"""
