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


def points(dataset):
    """Yield the documents of analytics_data, one a point."""
    _, metric, unit = DATASETS[dataset]
    for position, (timestamp, value) in enumerate(read_series(dataset)):
        yield {
            "timestamp": datetime.fromisoformat(timestamp).replace(tzinfo=timezone.utc),
            "metric_name": metric,
            "value": value,
            "tags": {"dataset": dataset, "source": "nab", "unit": unit},
            "metadata": {"position": position},
        }


def training_metrics():
    """Yield the documents of training_metrics, one a detector and profile."""
    thresholds = json.loads((FOLDER / "thresholds.json").read_text())
    for detector in DETECTORS:
        for profile, metrics in thresholds[detector].items():
            yield {
                "job_id": f"nab-{detector}-{profile}",
                "status": "completed",
                "detector": detector,
                "profile": profile,
                "threshold": metrics["threshold"],
                "best_score": metrics["score"],
            }


def dataset_rows():
    """Yield the rows of demo.datasets."""
    for dataset, (description, _, _) in DATASETS.items():
        length = sum(1 for _ in read_series(dataset))
        probation = min(int(PROBATION_SHARE * length), PROBATION_POINTS)
        yield dataset, description, probation


def window_rows():
    """Yield the rows of demo.anomaly_windows, numbered in order of time."""
    windows = json.loads((FOLDER / "windows.json").read_text())
    for dataset in DATASETS:
        for number, (starts, ends) in enumerate(windows[f"{dataset}.csv"], 1):
            yield dataset, number, starts, ends


def result_rows():
    """Yield the rows of demo.detection_results."""
    for detector in DETECTORS:
        for dataset in DATASETS:
            name = FOLDER / "scores" / f"{detector}__{dataset}.csv.gz"
            with gzip.open(name, "rt", newline="") as file:
                for position, row in enumerate(csv.DictReader(file)):
                    yield detector, dataset, position, row["anomaly_score"]
