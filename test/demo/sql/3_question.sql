-- Which labelled windows did each detector hit between December 2013 and
-- January 2015, and how many false alarms did it raise?
WITH detections AS (
    -- points scored above the detector's threshold, once out of probation
    SELECT r.detector, r.dataset, r.position, w.number AS in_window
    FROM demo.detection_results r
    JOIN demo.datasets d ON d.dataset = r.dataset
    JOIN demo.training_metrics m ON m.detector = r.detector
    JOIN demo.analytics_data p
        ON p.dataset = r.dataset AND p.position = r.position
    LEFT JOIN demo.anomaly_windows w
        ON w.dataset = r.dataset AND p.at BETWEEN w.starts AND w.ends
    WHERE m.profile = 'standard' AND m.status = 'completed'
        AND r.score >= m.threshold
        AND r.position >= d.probation
        AND p.at >= '2013-12-01' AND p.at < '2015-02-01'
)
SELECT d.dataset, m.detector,
    (SELECT count(*) FROM demo.anomaly_windows w
     WHERE w.dataset = d.dataset) AS windows,
    count(DISTINCT f.in_window) AS hit,
    string_agg(DISTINCT f.in_window::text, ' ') AS windows_hit,
    count(f.position) AS detections,
    count(f.position) FILTER (WHERE f.in_window IS NULL) AS false_alarms
FROM demo.datasets d
CROSS JOIN demo.training_metrics m
LEFT JOIN detections f ON f.dataset = d.dataset AND f.detector = m.detector
WHERE m.profile = 'standard' AND m.status = 'completed'
GROUP BY d.dataset, m.detector
ORDER BY d.dataset, m.detector
