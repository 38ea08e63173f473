-- New York's taxis around the New Year of 2015: what was flagged, and by whom?
SELECT p.at, p.value, w.number AS in_window,
    string_agg(format('%s %s', r.detector, round(r.score::numeric, 3)), ', '
               ORDER BY r.detector) AS flagged_by
FROM demo.analytics_data p
JOIN demo.detection_results r
    ON r.dataset = p.dataset AND r.position = p.position
JOIN demo.training_metrics m
    ON m.detector = r.detector AND m.profile = 'standard'
LEFT JOIN demo.anomaly_windows w
    ON w.dataset = p.dataset AND p.at BETWEEN w.starts AND w.ends
WHERE p.dataset = 'nyc_taxi'
    AND p.at >= '2014-12-20' AND p.at < '2015-01-05'
    AND r.score >= m.threshold
GROUP BY p.at, p.value, w.number
ORDER BY p.at
