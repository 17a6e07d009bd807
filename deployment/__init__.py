"""Handing a network over: its weights as one self-describing file, ONNX with proof of parity, and a deployment card.

This room reads a folder that retraining left behind; it never imports training, search or lookup tables. Other code may
rely on these (nothing is imported here, as the ONNX packages take a second to load):

- `deployment.handover.hand_over`: from a retrained network to the folder that is handed over;
- `deployment.onnx_export.to_onnx`: a module as a checked ONNX graph;
- `deployment.engines`: `ENGINES`, and `Engine`, `Session`, `Layer` for an engine of one's own;
- `deployment.parity.check_parity` and `deployment.latency.measure_latency`, on any engine that runs ONNX files;
- `deployment.preprocessing`: image files to the pixels that a network reads, for evaluation and the script of a card;
- `deployment.weights`: the safetensors file that describes itself.
"""
