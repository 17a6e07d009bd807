"""Did a search help? What it found beside baselines, retrained alike."""
