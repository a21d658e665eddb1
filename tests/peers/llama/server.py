"""llama.cpp's own server, as the Python package xllamacpp carries it, on one GGUF file and one thread.

    server.py MODEL.gguf ALIAS [--key KEY] [--embedding]

Prints where it listens once it answers, and ends when its standard input does.
"""

import sys
import urllib.request

import xllamacpp

model, alias, *rest = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {alias}
params.n_ctx = 4096
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.use_jinja = True
params.endpoint_metrics = True
params.hostnames = ["127.0.0.1"]
params.port = 0
params.warmup = False
params.verbosity = -1
if "--key" in rest:
    params.api_keys = [rest[rest.index("--key") + 1]]
if "--embedding" in rest:
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(params)
with urllib.request.urlopen(f"{server.listening_address}/health", timeout=60) as answer:
    assert answer.status == 200, answer.status
print(f"listening on {server.listening_address}", flush=True)
sys.stdin.read()
