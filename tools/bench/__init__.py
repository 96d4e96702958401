"""The benchmark of MXNetSeg against PyTorch, ONNX Runtime and OpenVINO on a CPU: `python -m tools.bench --help`.

networks     the seven networks, and weights that exercise every part of them
trace        a network -> plan (needs MXNet)
plan         what passes between the two Pythons: a list of operators with weights and fixed sizes
torch_net    plan -> PyTorch module
onnx_net     plan -> ONNX file
worker       one contender in a process of its own: one line asks, one line answers
run_*        what a worker does with each toolkit
process      the suite's side of that pipe
rounds       interleaved timing
statistics   medians, spread, agreement
contenders   who is compared
machine      what it was measured on
operators    the library's operators alone: `python -m tools.bench.operators --help`
evaluation   multi-scale evaluation against GluonCV's: `python -m tools.bench.evaluation --help`
loading      the training loader against Gluon's: `python -m tools.bench.loading --help`
report       tables, written between markers into docs/performance.md
summary      the table at the top of that page, taken from them
plot         the same as a picture

What runs in the peers' Python (plan, torch_net, onnx_net, worker, run_torch, run_onnx) imports neither MXNet nor
mxnetseg.
"""
