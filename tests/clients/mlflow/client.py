"""What MLflow's official Python client makes and sees, as one line of JSON.

  client.py URL trace EXPERIMENT          records a trace of two spans, and prints its id
  client.py URL run EXPERIMENT            makes an experiment with a run, and prints the run's id
  client.py URL model EXPERIMENT          makes a logged model, and prints its id
  client.py URL see EXPERIMENT MODEL      prints all that is in an experiment and a registered model
"""

import json
import pathlib
import sys
import tempfile

import mlflow
from mlflow import MlflowClient

url, what, *rest = sys.argv[1:]
mlflow.set_tracking_uri(url)
client = MlflowClient(url)


def trace(experiment):
    mlflow.set_experiment(experiment)
    with mlflow.start_span(name="answer", attributes={"model": "tiny"}) as outer:
        outer.set_inputs({"question": "how many?"})
        with mlflow.start_span(name="look up") as inner:
            inner.set_outputs({"found": 3})
        outer.set_outputs({"answer": 3})
        trace_id = outer.trace_id
    mlflow.flush_trace_async_logging(terminate=True)
    return trace_id


def model(experiment):
    number = client.get_experiment_by_name(experiment).experiment_id
    return client.create_logged_model(experiment_id=number, name="logged").model_id


def run_in(experiment):
    return client.create_run(client.create_experiment(experiment)).info.run_id


def files(run_id, path=None):
    """The content of each file below a path."""
    found = {}
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            found.update(files(run_id, entry.path))
        else:
            with tempfile.TemporaryDirectory() as folder:
                found[entry.path] = pathlib.Path(client.download_artifacts(run_id, entry.path, folder)).read_text()
    return found


def run(found):
    return {
        "run_id": found.info.run_id,
        "name": found.info.run_name,
        "status": found.info.status,
        "ended": found.info.end_time is not None,
        "params": found.data.params,
        "tags": found.data.tags,
        "metrics": {
            key: [[value.step, value.value] for value in client.get_metric_history(found.info.run_id, key)]
            for key in found.data.metrics
        },
        "files": files(found.info.run_id),
    }


def version(found):
    found = client.get_model_version(found.name, found.version)
    return {
        "version": int(found.version),
        "run_id": found.run_id,
        "source": found.source,
        "stage": found.current_stage,
        "tags": found.tags,
        "description": found.description,
    }


def see(experiment, name):
    at = client.get_experiment_by_name(experiment)
    registered = next(iter(client.search_registered_models(f"name = '{name}'")), None)
    versions = client.search_model_versions(f"name = '{name}'") if registered else []
    return {
        "experiments": sorted(found.name for found in client.search_experiments()),
        "tags": at.tags,
        "runs": [run(found) for found in client.search_runs([at.experiment_id])],
        "model": registered and {"description": registered.description, "aliases": registered.aliases},
        "versions": [version(found) for found in sorted(versions, key=lambda found: int(found.version))],
    }


print(json.dumps({"trace": trace, "run": run_in, "model": model, "see": see}[what](*rest), default=dict))
