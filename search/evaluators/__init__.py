"""What judges architectures: with a supernet's weights, in one process or several."""
