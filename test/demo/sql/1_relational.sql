-- The relational side: what was measured, what is known, what detectors said.
CREATE SCHEMA demo;
COMMENT ON SCHEMA demo IS 'pynomaly_store: the demonstration';

CREATE TABLE demo.datasets (
    dataset     text COLLATE "C" PRIMARY KEY,
    description text NOT NULL,
    probation   int NOT NULL CHECK (probation >= 0)
);
COMMENT ON COLUMN demo.datasets.probation IS
    'the first points, in which a detector still learns and is not judged';

CREATE TABLE demo.anomaly_windows (
    dataset text COLLATE "C" REFERENCES demo.datasets,
    number  int,
    starts  timestamp NOT NULL,
    ends    timestamp NOT NULL CHECK (ends >= starts),
    PRIMARY KEY (dataset, number)
);
COMMENT ON TABLE demo.anomaly_windows IS
    'labelled anomalies: a detection within [starts, ends] is right';

CREATE TABLE demo.detection_results (
    detector text COLLATE "C",
    dataset  text COLLATE "C" REFERENCES demo.datasets,
    position int,
    score    float8 NOT NULL CHECK (score BETWEEN 0 AND 1),
    PRIMARY KEY (detector, dataset, position)
);
COMMENT ON TABLE demo.detection_results IS
    'the score that a detector gave to the point at a position of a dataset';
