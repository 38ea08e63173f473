"""The demo's data: the benchmark's files as documents and as rows."""

import csv
import gzip
import json
from datetime import datetime, timezone
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "data"

# dataset -> (what it is, the name of its metric, unit)
DATASETS = {
    "ambient_temperature_system_failure": (
        "temperature in an office, by the hour",
        "ambient_temperature",
        "degree Fahrenheit",
    ),
    "ec2_request_latency_system_failure": (
        "latency of requests to a service, every 5 minutes",
        "request_latency",
        "millisecond",
    ),
    "machine_temperature_system_failure": (
        "temperature in a large industrial machine, every 5 minutes",
        "machine_temperature",
        "degree Fahrenheit",
    ),
    "nyc_taxi": (
        "passengers of New York's taxis, every half hour",
        "passengers",
        "person",
    ),
}
# tenant -> (its name, its datasets)
TENANTS = {
    "11111111-1111-4111-8111-111111111111": (
        "factory",
        ("ambient_temperature_system_failure", "machine_temperature_system_failure"),
    ),
    "22222222-2222-4222-8222-222222222222": (
        "city",
        ("ec2_request_latency_system_failure", "nyc_taxi"),
    ),
}
DETECTORS = ("numenta", "relativeEntropy", "windowedGaussian")

# The benchmark judges no detector in the first 15% of a series, nor in more
# than its first 750 points.
PROBATION_SHARE = 0.15
PROBATION_POINTS = 750


def read_series(dataset):
    """Yield (timestamp, value) of each point, the timestamp as its text."""
    with open(FOLDER / "series" / f"{dataset}.csv", newline="") as file:
        for row in csv.DictReader(file):
            yield row["timestamp"], float(row["value"])


def thresholds():
    """Return the benchmark's: detector -> profile -> threshold and score."""
    return json.loads((FOLDER / "thresholds.json").read_text())


def points(tenant, dataset):
    """Yield the documents of analytics_data, one a point."""
    _, metric, unit = DATASETS[dataset]
    for position, (timestamp, value) in enumerate(read_series(dataset)):
        yield {
            "tenant_id": tenant,
            "timestamp": datetime.fromisoformat(timestamp).replace(tzinfo=timezone.utc),
            "metric_name": metric,
            "value": value,
            "tags": {"dataset": dataset, "source": "nab", "unit": unit},
            "metadata": {"position": position},
        }


def training_metrics(tenant):
    """Yield the documents of training_metrics, one a detector and profile."""
    for detector in DETECTORS:
        for profile, metrics in thresholds()[detector].items():
            yield {
                "tenant_id": tenant,
                "job_id": f"nab-{detector}-{profile}",
                "status": "completed",
                "detector": detector,
                "profile": profile,
                "threshold": metrics["threshold"],
                "best_score": metrics["score"],
            }


def dataset_entity(dataset):
    """Return what the platform saves of a dataset.

    Its metadata has the labelled windows, in order of time.
    """
    description, metric, _ = DATASETS[dataset]
    length = sum(1 for _ in read_series(dataset))
    windows = json.loads((FOLDER / "windows.json").read_text())
    return {
        "name": dataset,
        "description": description,
        "source": "nab",
        "n_samples": length,
        "n_features": 1,
        "feature_names": [metric],
        "metadata": {
            "probation": min(int(PROBATION_SHARE * length), PROBATION_POINTS),
            "windows": [{"starts": starts, "ends": ends}
                        for starts, ends in windows[f"{dataset}.csv"]],
        },
    }


def detector_entity(detector):
    """Return what the platform saves of a detector."""
    return {
        "name": detector,
        "algorithm_name": detector,
        "is_fitted": True,
        "metadata": {"source": "nab"},
    }


def result_entity(detector, dataset):
    """Return what the platform saves of a detection, the ids apart."""
    threshold = thresholds()[detector]["standard"]["threshold"]
    name = FOLDER / "scores" / f"{detector}__{dataset}.csv.gz"
    with gzip.open(name, "rt", newline="") as file:
        scores = [float(row["anomaly_score"]) for row in csv.DictReader(file)]
    return {
        "threshold": threshold,
        "scores": scores,
        "labels": [int(score >= threshold) for score in scores],
    }
