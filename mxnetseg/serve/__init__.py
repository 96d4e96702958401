"""An HTTP server around one `Predictor`, on FastAPI and uvicorn: `mxnetseg serve` (docs/serve.md).

A request passes `bodies` (read, within limits), `pool` threads (decoded), `worker` (the network, in one thread) and
`answers` (encoded). `room` counts what is held meanwhile, `refusal` is every way to say no. `app` puts them together,
`running` puts a socket before it. Nothing is written to disk, and nothing that a client names is opened.
"""
