"""How well a supernet ranks networks."""
