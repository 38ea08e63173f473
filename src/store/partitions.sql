-- ---------------------------------------------------------------------
-- store: partitions by month
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.detection_results_default
    PARTITION OF pynomaly.detection_results DEFAULT;
CREATE TABLE pynomaly.anomalies_default
    PARTITION OF pynomaly.anomalies DEFAULT;
