"""Handing a network over: its weights as one self-describing file, ONNX with proof of parity, and a deployment card.

This room reads a folder that retraining left behind; it never imports training, search or lookup tables.
"""
