"""Latency tables: measured here, by a kit on another device, or fitted to measured networks."""
