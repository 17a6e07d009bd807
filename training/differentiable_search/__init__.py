"""Architecture parameters trained by gradients."""
