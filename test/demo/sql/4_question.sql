-- Which labelled windows did each detector of the tenant hit between December
-- 2013 and January 2015, and how many false alarms did it raise?
WITH scored AS MATERIALIZED (
    -- positions scored above the detector's threshold, once out of probation
    SELECT r.id AS result_id, s.id AS dataset_id, s.name AS dataset, u.position
    FROM pynomaly.detection_results r
    JOIN pynomaly.detectors d ON d.id = r.detector_id
    JOIN pynomaly.datasets s ON s.id = r.dataset_id
    JOIN demo.thresholds m ON m.detector = d.name
    CROSS JOIN unnest(r.scores) WITH ORDINALITY AS u (score, position)
    WHERE u.score >= m.threshold
        AND u.position > (s.metadata ->> 'probation')::int
), detections AS (
    SELECT c.result_id, c.position, w.number AS in_window
    FROM scored c
    JOIN demo.points p ON p.dataset = c.dataset AND p.position = c.position - 1
    LEFT JOIN demo.windows w
        ON w.dataset_id = c.dataset_id AND p.at BETWEEN w.starts AND w.ends
    WHERE p.at >= '2013-12-01' AND p.at < '2015-02-01'
)
SELECT s.name AS dataset, d.name AS detector,
    (SELECT count(*) FROM demo.windows w WHERE w.dataset_id = s.id) AS windows,
    count(DISTINCT f.in_window) AS hit,
    string_agg(DISTINCT f.in_window::text, ' ') AS windows_hit,
    count(f.position) AS detections,
    count(f.position) FILTER (WHERE f.in_window IS NULL) AS false_alarms
FROM pynomaly.detection_results r
JOIN pynomaly.detectors d ON d.id = r.detector_id
JOIN pynomaly.datasets s ON s.id = r.dataset_id
LEFT JOIN detections f ON f.result_id = r.id
GROUP BY s.id, s.name, d.name
ORDER BY s.name, d.name;
